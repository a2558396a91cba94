package cairn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the vectors")

func sampleHeader() Header {
	return Header{
		Suite: SuiteAES, Kind: KindData, Shard: ShardID{SegmentID(sampleID(0x30)), 5}, Data: 4, Parity: 2, BlockSize: DefaultBlockSize,
		PayloadLen: 728064, Owner: OwnerTag(sampleID(0xc0)), Created: 1790000000, RetainUntil: 1800000000,
	}
}

func sampleTrailer() Trailer {
	return NewTrailer(sampleHeader(), sampleID(0x80), RootsDigest([]Root{sampleID(0x80), sampleID(0x90)}), []byte("sealed manifest"))
}

// vectors are the bytes of format 1. They never change: a program of today
// must read what one of then wrote.
func vectors() map[string]string {
	v := map[string]string{
		"header":        hex.EncodeToString(sampleHeader().Append(nil)),
		"trailer":       hex.EncodeToString(sampleTrailer().Append(nil)),
		"roots_digest":  RootsDigest([]Root{sampleID(0x80), sampleID(0x90)}).String(),
		"record_digest": sampleTrailer().Record.String(),
		"owner_tag":     Tag(sampleID(0xd0)).String(),
	}
	for _, r := range records() {
		v[r.name] = hex.EncodeToString(r.sample)
	}
	return v
}

func TestVectorsHold(t *testing.T) {
	path := filepath.Join("testdata", "vectors", "shard.json")
	if *update {
		text, err := json.MarshalIndent(vectors(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := vectors()
	if len(want) != len(got) {
		t.Errorf("%d vectors in the file, want %d", len(want), len(got))
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s = %s, want %s", name, got[name], w)
		}
	}
}

// withChecksum puts the right checksum at the end of a changed header or trailer.
func withChecksum(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

func TestHeaderSurvivesItsBytes(t *testing.T) {
	want := sampleHeader()
	b := append(want.Append(nil), "payload"...)
	if got, err := ParseHeader(b); err != nil || got != want {
		t.Errorf("ParseHeader = %+v, %v, want %+v", got, err, want)
	}
	for i := range HeaderSize * 8 {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := ParseHeader(bad); !errors.Is(err, Corrupt) {
			t.Fatalf("ParseHeader with bit %d flipped = %v, want Corrupt", i, err)
		}
	}
	for n := range HeaderSize {
		if _, err := ParseHeader(b[:n]); !errors.Is(err, Corrupt) {
			t.Errorf("ParseHeader(%d bytes) = %v, want Corrupt", n, err)
		}
	}
}

func TestHeadersThatContradictThemselvesAreRefused(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"newer reader":      func(b []byte) { b[10] = 2 },
		"unknown suite":     func(b []byte) { b[12] = 2 },
		"kind zero":         func(b []byte) { b[13] = 0 },
		"unknown kind":      func(b []byte) { b[13] = 8 },
		"index beyond n":    func(b []byte) { b[14] = 6 },
		"no data shards":    func(b []byte) { b[15], b[14] = 0, 0 },
		"too many shards":   func(b []byte) { b[16] = 61 },
		"reserved byte":     func(b []byte) { b[18] = 1 },
		"reserved tail":     func(b []byte) { b[120] = 1 },
		"odd block size":    func(b []byte) { b[20] = 1 },
		"huge payload":      func(b []byte) { b[28] = 1 },
		"negative payload":  func(b []byte) { b[31] = 0x80 },
		"created before 0":  func(b []byte) { b[103] = 0x80 },
		"retained before 0": func(b []byte) { b[111] = 0x80 },
		"other leaf size":   func(b []byte) { b[113] = 2 },
	} {
		b := sampleHeader().Append(nil)
		change(b)
		if _, err := ParseHeader(withChecksum(b)); !errors.Is(err, Invalid) {
			t.Errorf("%s: ParseHeader = %v, want Invalid", name, err)
		}
	}
}

func TestTrailerSurvivesItsBytes(t *testing.T) {
	want := sampleTrailer()
	b := want.Append(nil)
	if got, err := ParseTrailer(b); err != nil || got != want {
		t.Errorf("ParseTrailer = %+v, %v, want %+v", got, err, want)
	}
	for i := range TrailerSize * 8 {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := ParseTrailer(bad); !errors.Is(err, Corrupt) {
			t.Fatalf("ParseTrailer with bit %d flipped = %v, want Corrupt", i, err)
		}
	}
	for name, change := range map[string]func(b []byte){
		"huge manifest": func(b []byte) { b[11] = 1 },
		"reserved":      func(b []byte) { b[12] = 1 },
		"reserved tail": func(b []byte) { b[115] = 1 },
	} {
		bad := bytes.Clone(b)
		change(bad)
		if _, err := ParseTrailer(withChecksum(bad)); !errors.Is(err, Invalid) {
			t.Errorf("%s: ParseTrailer = %v, want Invalid", name, err)
		}
	}
}

func TestTailBelongsTogether(t *testing.T) {
	h := sampleHeader()
	tail := Tail{Header: h, TreeTop: make([]byte, h.TreeTopLen()), Manifest: []byte("sealed manifest"), Trailer: sampleTrailer()}
	if err := tail.Verify(); err != nil {
		t.Errorf("Verify = %v, want nil", err)
	}
	for name, change := range map[string]func(*Tail){
		"manifest":        func(x *Tail) { x.Manifest = []byte("sealed_manifest") },
		"manifest length": func(x *Tail) { x.Manifest = nil },
		"tree top":        func(x *Tail) { x.TreeTop = x.TreeTop[32:] },
		"owner":           func(x *Tail) { x.Header.Owner[0]++ },
		"retention":       func(x *Tail) { x.Header.RetainUntil = 0 },
		"root":            func(x *Tail) { x.Trailer.Root[0]++ },
		"roots":           func(x *Tail) { x.Trailer.Roots[0]++ },
	} {
		bad := tail
		change(&bad)
		if err := bad.Verify(); !errors.Is(err, Corrupt) {
			t.Errorf("%s changed: Verify = %v, want Corrupt", name, err)
		}
	}
}

func TestReceiptIsTheNodesWord(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	r := Receipt{Node: NodeID(key.Public().(ed25519.PublicKey)), Shard: sampleHeader().Shard, Root: sampleID(1), Record: sampleID(2)}
	r.Sign(key, time.Unix(1790000000, 0))
	if err := r.Verify(); err != nil {
		t.Errorf("Verify = %v, want nil", err)
	}
	for name, change := range map[string]func(*Receipt){
		"node": func(r *Receipt) { r.Node[0]++ }, "segment": func(r *Receipt) { r.Shard.Segment[0]++ }, "index": func(r *Receipt) { r.Shard.Index++ },
		"root": func(r *Receipt) { r.Root[0]++ }, "record": func(r *Receipt) { r.Record[0]++ }, "time": func(r *Receipt) { r.StoredAt++ },
	} {
		bad := r
		change(&bad)
		if err := bad.Verify(); !errors.Is(err, Corrupt) {
			t.Errorf("%s changed: Verify = %v, want Corrupt", name, err)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(sampleHeader().Append(nil))
	f.Add([]byte(headerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == HeaderSize {
			b = withChecksum(bytes.Clone(b)) // or the fuzzer sees nothing but checksums
		}
		if h, err := ParseHeader(b); err == nil && !bytes.Equal(h.Append(nil), b[:HeaderSize]) {
			t.Errorf("ParseHeader(%x) encodes to %x", b, h.Append(nil))
		}
	})
}

func FuzzParseTrailer(f *testing.F) {
	f.Add(sampleTrailer().Append(nil))
	f.Add([]byte(trailerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == TrailerSize {
			b = withChecksum(bytes.Clone(b))
		}
		if tr, err := ParseTrailer(b); err == nil && !bytes.Equal(tr.Append(nil), b[:TrailerSize]) {
			t.Errorf("ParseTrailer(%x) encodes to %x", b, tr.Append(nil))
		}
	})
}
