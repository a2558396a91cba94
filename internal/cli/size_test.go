package cli_test

import (
	"math"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/internal/cli"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "1K": 1024, "1KiB": 1024, "1KB": 1000, "1.5KiB": 1536, "100GiB": 100 << 30,
		"1.5TB": 1.5e12, " 2 MiB ": 2 << 20, "3gib": 3 << 30, "0.3B": 0, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := cli.ParseSize(text); err != nil || int64(got) != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1e9", "1 2", "1..2", ".", "0x10", "1/2", "1QiB", "9223372036854775808", "9000000PiB", "Inf"} {
		if got, err := cli.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzSizeReadsWhatItWrites(f *testing.F) {
	for _, n := range []int64{0, 1, 1023, 1024, 1 << 30, 100 << 30, 1<<50 + 1, math.MaxInt64} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		if n < 0 {
			return
		}
		var s cli.Size
		if err := s.Set(cli.Size(n).String()); err != nil || int64(s) != n {
			t.Errorf("Set(String(%d)) = %d, %v", n, s, err)
		}
	})
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 5 << 30: "5.0 GiB", math.MaxInt64: "8.0 EiB", -2048: "-2.0 KiB",
	} {
		if got := cli.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTablesDoNotObeyStrangers(t *testing.T) {
	var b strings.Builder
	if err := cli.Table(&b, []string{"NAME", "X"}, [][]string{{"a\x1b[2Jb\n\u009bc", ""}}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.ContainsAny(got, "\x1b\u009b") || strings.Count(got, "\n") != 2 || !strings.Contains(got, "-") {
		t.Errorf("table = %q", got)
	}
}
