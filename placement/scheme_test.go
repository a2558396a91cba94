package placement

import (
	"errors"
	"testing"

	"github.com/cairn-store/cairn"
)

func TestSchemeFollowsLivingDomains(t *testing.T) {
	for _, tc := range []struct{ domains, losses, maxData, data int }{
		{3, 2, 0, 1}, {4, 2, 0, 2}, {5, 2, 0, 3}, {6, 2, 0, 4}, {7, 2, 0, 5}, {10, 2, 0, 8}, {500, 2, 0, 8},
		{500, 2, 20, 20}, {6, 2, 3, 3}, {500, 2, 62, 62}, {500, 2, 100, 62},
		{1, 0, 0, 1}, {4, 0, 0, 4}, {2, 1, 0, 1}, {7, 7, 0, 0}, {8, 7, 0, 1},
		{16, 8, 0, 8}, {17, 8, 0, 8}, {500, 8, 0, 8}, {12, 8, 0, 4}, {20, 10, 0, 10}, {32, 16, 0, 16}, {500, 16, 0, 16},
		{500, 10, 8, 8}, {500, 16, 32, 16},
	} {
		data, parity, err := ChooseScheme(tc.domains, tc.losses, tc.maxData)
		if tc.data == 0 {
			if cairn.KindOf(err) != cairn.Unavailable {
				t.Errorf("ChooseScheme(%d, %d, %d) = %v, want Unavailable", tc.domains, tc.losses, tc.maxData, err)
			}
			continue
		}
		if err != nil || data != tc.data || parity != tc.losses {
			t.Errorf("ChooseScheme(%d, %d, %d) = %d+%d, %v; want %d+%d", tc.domains, tc.losses, tc.maxData, data, parity, err, tc.data, tc.losses)
		}
	}
}

func TestSchemeKeepsThePromiseForAllSmallNetworks(t *testing.T) {
	for losses := range 20 {
		for domains := range 70 {
			for maxData := range 20 {
				data, parity, err := ChooseScheme(domains, losses, maxData)
				if domains < losses+1 {
					if !errors.Is(err, cairn.Unavailable) || cairn.HintOf(err) == "" {
						t.Fatalf("ChooseScheme(%d, %d, %d) = %v, want Unavailable with a hint", domains, losses, maxData, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("ChooseScheme(%d, %d, %d): %v", domains, losses, maxData, err)
				}
				s := cairn.Scheme{Data: data, Parity: parity, BlockSize: cairn.DefaultBlockSize}
				if err := s.Validate(); err != nil || s.Shards() > domains || parity != losses || (maxData > 0 && data > maxData) {
					t.Fatalf("ChooseScheme(%d, %d, %d) = %v (%v)", domains, losses, maxData, s, err)
				}
			}
		}
	}
}

func TestSchemeRefusesNonsense(t *testing.T) {
	for _, tc := range [][3]int{{6, -1, 0}, {6, 2, -1}, {100, cairn.MaxShards, 0}} {
		if _, _, err := ChooseScheme(tc[0], tc[1], tc[2]); !errors.Is(err, cairn.Invalid) {
			t.Errorf("ChooseScheme(%v) = %v, want Invalid", tc, err)
		}
	}
}

func TestSmallObjectsNeverLieWholeOnOneNodeWhereDomainsAllow(t *testing.T) {
	for _, tc := range [][3]int{{3, 2, 1}, {4, 2, 2}, {6, 2, 2}, {100, 2, 2}, {9, 8, 1}, {10, 8, 2}} {
		data, parity, err := SmallScheme(tc[0], tc[1])
		if err != nil || data != tc[2] || parity != tc[1] {
			t.Errorf("SmallScheme(%d, %d) = %d+%d, %v; want %d+%d", tc[0], tc[1], data, parity, err, tc[2], tc[1])
		}
	}
	if _, _, err := SmallScheme(2, 2); !errors.Is(err, cairn.Unavailable) {
		t.Errorf("SmallScheme(2, 2) = %v, want Unavailable", err)
	}
}
