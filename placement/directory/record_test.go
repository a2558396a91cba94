package directory

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
)

var updateGolden = flag.Bool("update", false, "rewrite golden files")

var testTime = time.UnixMilli(1_760_000_000_123).UTC()

func number(v uint64) *uint64 { return &v }

// fullRecord has every field set.
func fullRecord() Record {
	return Record{
		Network: testNetwork, Seq: 1_760_000_000_123_456_789, IssuedAt: testTime, Expires: testTime.Add(3 * time.Hour),
		Multiaddrs:    []string{"/ip4/203.0.113.7/tcp/7700", "/ip6/2001:db8::7/udp/7700/quic-v1"},
		DataAddrs:     []string{"203.0.113.7:7701", "node.example:7701"},
		FailureDomain: "attic", Operator: "Ana", Region: "Île-de-France",
		CapacityBytes: 4 << 40, FreeBytes: 3 << 40,
		StoragePricePerGiBMonth: number(1500), EgressPricePerGiB: number(0), IngressPricePerGiB: number(7),
		Software: "storagenode 1.2.3", Draining: true,
		unknown: []field{{90, "later"}, {90, ""}, {1 << 40, "much later"}},
	}
}

func TestRecordSurvivesItsEncoding(t *testing.T) {
	minimal := Record{Network: testNetwork, Seq: 1, IssuedAt: testTime, Expires: testTime.Add(time.Second)}
	for _, want := range []Record{fullRecord(), minimal} {
		raw, err := want.Sign(testKey("golden"))
		if err != nil {
			t.Fatal(err)
		}
		want.NodeID = testID("golden")
		got, err := Verify(raw, testNetwork, testTime)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v (%v), want %+v", got, err, want)
		}
		again, err := got.Sign(testKey("golden"))
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("signed again: %x (%v), want %x", again, err, raw)
		}
	}
}

func TestRecordKeepsItsFormat(t *testing.T) {
	raw, err := fullRecord().Sign(testKey("golden"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "record-v1.hex")
	if *updateGolden {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(raw)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(raw); got != strings.TrimSpace(string(want)) {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestRecordWithAnyByteChangedIsRefused(t *testing.T) {
	raw, err := fullRecord().Sign(testKey("golden"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if _, err := Open(bad, testNetwork); !errors.Is(err, cairn.Corrupt) {
			t.Fatalf("byte %d changed: %v, want Corrupt", i, err)
		}
		if _, err := Open(raw[:i], testNetwork); !errors.Is(err, cairn.Corrupt) {
			t.Fatalf("cut at %d: %v, want Corrupt", i, err)
		}
	}
}

func TestRecordCountsOnlyInItsTimeAndNetwork(t *testing.T) {
	raw := signed(t, "a", 1, testTime, nil) // for an hour
	for _, tc := range []struct {
		after   time.Duration
		network string
		want    error
	}{
		{0, testNetwork, nil},
		{time.Hour - time.Millisecond, testNetwork, nil},
		{time.Hour, testNetwork, cairn.Denied},
		{-MaxClockSkew, testNetwork, nil},
		{-MaxClockSkew - time.Second, testNetwork, cairn.Denied},
		{0, "other", cairn.Invalid},
	} {
		if _, err := Verify(raw, tc.network, testTime.Add(tc.after)); !errors.Is(err, tc.want) {
			t.Errorf("after %v on %q: %v, want %v", tc.after, tc.network, err, tc.want)
		}
	}
}

func TestSignRefusesWhatOpenWould(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"no sequence":            func(r *Record) { r.Seq = 0 },
		"no network":             func(r *Record) { r.Network = "" },
		"network with a slash":   func(r *Record) { r.Network = "a/b" },
		"expires at once":        func(r *Record) { r.Expires = r.IssuedAt },
		"lives too long":         func(r *Record) { r.Expires = r.IssuedAt.Add(MaxLifetime + time.Second) },
		"no times":               func(r *Record) { r.IssuedAt, r.Expires = time.Time{}, time.Time{} },
		"too many addresses":     func(r *Record) { r.Multiaddrs = make([]string, 17) },
		"an empty address":       func(r *Record) { r.DataAddrs = []string{""} },
		"a long address":         func(r *Record) { r.DataAddrs = []string{strings.Repeat("a", 257)} },
		"a terminal escape":      func(r *Record) { r.Operator = "\x1b[2J" },
		"bytes that are no text": func(r *Record) { r.Region = "\xff" },
		"a long name":            func(r *Record) { r.FailureDomain = strings.Repeat("a", 129) },
		"negative free space":    func(r *Record) { r.FreeBytes = -1 },
		"more than 4 KiB":        func(r *Record) { r.unknown = []field{{99, strings.Repeat("x", 4000)}} },
	} {
		r := fullRecord()
		change(&r)
		if _, err := r.Sign(testKey("golden")); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func TestOpenRefusesBodiesThatAreNotCanonical(t *testing.T) {
	head := append([]byte(recordMagic), recordFormat)
	id := testID("golden")
	head = append(head, id[:]...)
	good := Record{Network: testNetwork, Seq: 1, IssuedAt: testTime, Expires: testTime.Add(time.Second)}.body()
	for name, body := range map[string][]byte{
		"good":                  good,
		"zero capacity written": append(bytes.Clone(good), tagCapacity, 1, 0),
		"empty operator":        append(bytes.Clone(good), tagOperator, 0),
		"number too long":       append(bytes.Clone(good), tagCapacity, 2, 0x81, 0),
		"field twice":           append(bytes.Clone(good), tagOperator, 1, 'a', tagOperator, 1, 'b'),
		"fields out of order":   append(bytes.Clone(good), tagRegion, 1, 'a', tagOperator, 1, 'b'),
		"tag zero":              append([]byte{0, 0}, good...),
		"longer than the body":  append(bytes.Clone(good), tagRegion, 9, 'a'),
		"draining is two":       append(bytes.Clone(good), tagDraining, 1, 2),
	} {
		raw := append(bytes.Clone(head), signBody(head, body)...)
		raw = append(raw, body...)
		if _, err := Open(raw, testNetwork); (err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidatorRefusesForgedExpiredAndForeignRecords(t *testing.T) {
	now := testTime
	v := Validator{Network: testNetwork, Now: func() time.Time { return now }}
	old, newer := signed(t, "a", 1, testTime, nil), signed(t, "a", 2, testTime, nil)
	forged := bytes.Clone(newer)
	forged[signedAt] ^= 1
	other := signed(t, "b", 9, testTime, nil)
	key := dhtKey(testID("a"))
	for name, tc := range map[string]struct {
		raw  []byte
		kind error
	}{
		"good": {newer, nil}, "forged": {forged, cairn.Corrupt}, "another node's": {other, cairn.Denied},
		"another network's": {signed(t, "a", 3, testTime, func(r *Record) { r.Network = "else" }), cairn.Invalid},
		"too long":          {bytes.Repeat([]byte{1}, MaxRecordSize+1), cairn.Corrupt},
		"expired":           {signed(t, "a", 4, testTime.Add(-2*time.Hour), nil), cairn.Denied},
	} {
		if err := v.Validate(key, tc.raw); !errors.Is(err, tc.kind) {
			t.Errorf("%s: %v, want %v", name, err, tc.kind)
		}
	}
	if i, err := v.Select(key, [][]byte{old, forged, newer, other}); err != nil || i != 2 {
		t.Errorf("Select = %d, %v; want the newest valid one, 2", i, err)
	}
	now = testTime.Add(2 * time.Hour)
	if _, err := v.Select(key, [][]byte{old, newer}); !errors.Is(err, cairn.NotFound) {
		t.Errorf("Select among expired records: %v, want NotFound", err)
	}
}

func FuzzOpenRecord(f *testing.F) {
	full, err := fullRecord().Sign(testKey("golden"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full[bodyAt:])
	f.Add(Record{Network: testNetwork, Seq: 1, IssuedAt: testTime, Expires: testTime.Add(time.Second)}.body())
	for i := range 256 {
		f.Add([]byte{byte(i)})
		f.Add([]byte{byte(i), 0})
		f.Add([]byte{byte(i), 1, 1})
	}
	key, id := testKey("fuzz"), testID("fuzz")
	head := append(append([]byte(recordMagic), recordFormat), id[:]...)
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := Open(body, testNetwork); err == nil {
			t.Fatal("bytes without our signature were opened")
		}
		raw := append(bytes.Clone(head), signBodyWith(key, head, body)...)
		raw = append(raw, body...)
		r, err := Open(raw, testNetwork)
		if err != nil {
			return
		}
		again, err := r.Sign(key)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("opened %x, signed again %x (%v)", raw, again, err)
		}
	})
}

func FuzzExchangeMessages(f *testing.F) {
	host := &Host{network: testNetwork, id: testID("host")}
	d, err := New(host, Config{Checker: host.Check})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendRecords([]byte{opPush}, [][]byte{signed(f, "a", 1, time.Now(), nil)}))
	f.Add(append([]byte{opList}, make([]byte, 64)...))
	f.Add(appendIDs([]byte{opGet}, []cairn.NodeID{testID("a")}))
	f.Add(appendHeaders([]byte{listLast}, []header{{testID("a"), 1}}))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 {
			return // readMessage refuses it
		}
		if reply, err := d.reply(message, ""); err == nil && (len(reply) == 0 || len(reply) > maxReply) {
			t.Fatalf("reply of %d bytes to %x", len(reply), message)
		}
		if page, err := splitHeaders(message[1:], cairn.NodeID{}); err == nil && !bytes.Equal(appendHeaders(nil, page), message[1:]) {
			t.Fatalf("headers %x are not canonical", message[1:])
		}
	})
}
