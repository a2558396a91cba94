package nodeapi

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
)

// parsers holds, for each body on the wire, its parser followed by its
// encoder: decode, encode, compare.
var parsers = []struct {
	name  string
	again func(b []byte) ([]byte, error)
}{
	{"hello", again(ParseHello, Hello.Append)},
	{"welcome", again(ParseWelcome, Welcome.Append)},
	{"put", again(ParsePutRequest, PutRequest.Append)},
	{"put record", again(ParsePutRecordRequest, PutRecordRequest.Append)},
	{"upload tail", again(ParseUploadTail, UploadTail.Append)},
	{"read", again(ParseReadRequest, ReadRequest.Append)},
	{"tails", again(ParseTailsRequest, TailsRequest.Append)},
	{"list", again(ParseListRequest, ListRequest.Append)},
	{"delete", again(ParseDeleteRequest, DeleteRequest.Append)},
	{"receipt", again(ParseReceipt, func(r cairn.Receipt, b []byte) []byte { return AppendReceipt(b, r) })},
	{"info reply", again(ParseInfo, Info.Append)},
	{"tails reply", again(ParseTails, func(t []cairn.Tail, b []byte) []byte { return AppendTails(b, t) })},
	{"list reply", again(ParseListReply, ListReply.Append)},
	{"delete reply", again(ParseDeleteReply, DeleteReply.Append)},
	{"error", again(ParseError, func(e *cairn.Error, b []byte) []byte { return AppendError(b, "", e) })},
	{"message header", again(ParseMessageHeader, MessageHeader.Append)},
}

func again[T any](parse func([]byte) (T, error), encode func(T, []byte) []byte) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b)
		if err != nil {
			return nil, err
		}
		return encode(v, nil), nil
	}
}

func testShard(i int) cairn.ShardID {
	var id cairn.ShardID
	binary.BigEndian.PutUint64(id.Segment[:], uint64(i)+1)
	id.Index = uint8(i % 6)
	return id
}

func testHeader(payload int64) cairn.Header {
	return cairn.Header{
		Suite: cairn.SuiteAES, Kind: cairn.KindData, Shard: testShard(3), Data: 4, Parity: 2,
		BlockSize: cairn.DefaultBlockSize, PayloadLen: payload, Owner: cairn.OwnerTag{9}, Created: 1_700_000_000,
	}
}

func testAuth() cairn.Authorization {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	a := cairn.Authorization{Verb: cairn.VerbPut, Node: cairn.NodeID{1}, Subject: cairn.Digest{2}, Expires: 77, Serial: 5}
	a.Sign(key)
	return a
}

func testTail() cairn.Tail {
	h := testHeader(100_000)
	manifest := []byte("sealed")
	return cairn.Tail{
		Header: h, TreeTop: make([]byte, h.TreeTopLen()), Manifest: manifest,
		Trailer: cairn.NewTrailer(h, cairn.Root{1}, cairn.Digest{2}, manifest),
	}
}

// samples returns a valid body for each parser, in the order of parsers.
func samples() [][]byte {
	auth, tail := testAuth(), testTail()
	ids := []cairn.ShardID{testShard(1), testShard(2)}
	return [][]byte{
		Hello{Oldest: 1, Newest: 2, Auth: &auth}.Append(nil),
		Welcome{Version: 1, Node: cairn.NodeID{3}, Clock: 12345}.Append(nil),
		PutRequest{Auth: auth, Header: testHeader(1 << 20), MaxManifest: 4096}.Append(nil),
		PutRecordRequest{Auth: auth, Record: make([]byte, 300)}.Append(nil),
		UploadTail{TreeTop: tail.TreeTop, Manifest: tail.Manifest, Trailer: tail.Trailer}.Append(nil),
		ReadRequest{Shard: ids[0], Offset: 1 << 20, Length: MaxRead}.Append(nil),
		TailsRequest{IDs: ids}.Append(nil),
		ListRequest{After: ids[0], Limit: MaxList}.Append(nil),
		DeleteRequest{Auth: auth, IDs: ids}.Append(nil),
		AppendReceipt(nil, cairn.Receipt{Node: cairn.NodeID{1}, Shard: ids[0], Root: cairn.Root{2}, StoredAt: 99}),
		Info{Node: cairn.NodeID{1}, Version: "v1", FailureDomain: "keller", Operator: "jörg", Reason: "disk full",
			CapacityBytes: 1 << 40, FreeBytes: 5, Clock: 7, Uploads: 2, Writable: true}.Append(nil),
		AppendTails(nil, []cairn.Tail{tail, tail}),
		ListReply{Entries: []Entry{{Shard: ids[0], Kind: cairn.KindSmall, Size: 5, Created: 6}, {Shard: ids[1]}}, More: true}.Append(nil),
		DeleteReply{Deleted: 1, Retained: ids[:1]}.Append(nil),
		AppendError(nil, "", cairn.Errorf("put shard", cairn.Full, "no room for %d bytes", 9).WithHint("add a disk")),
		MessageHeader{Length: MaxChunk, Type: TypePayload, Number: 700}.Append(nil),
	}
}

func TestBodiesAreCanonical(t *testing.T) {
	for i, b := range samples() {
		p := parsers[i]
		got, err := p.again(b)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: decode and encode = %x, %v, want %x", p.name, got, err, b)
		}
		if p.name == "put record" {
			continue // its record takes whatever length there is
		}
		for n := range len(b) {
			if _, err := p.again(b[:n]); cairn.KindOf(err) != cairn.Invalid {
				t.Errorf("%s cut to %d of %d bytes: %v, want an Invalid error", p.name, n, len(b), err)
			}
		}
		if _, err := p.again(append(bytes.Clone(b), 0)); cairn.KindOf(err) != cairn.Invalid {
			t.Errorf("%s with a byte more: %v, want an Invalid error", p.name, err)
		}
	}
}

func FuzzBodies(f *testing.F) {
	for i, b := range samples() {
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		p := parsers[int(i)%len(parsers)]
		got, err := p.again(b)
		if err != nil {
			return
		}
		if p.name == "error" && b[0] == byte(cairn.Internal) {
			return // its sentence is withheld when it is written
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("%s: decode and encode = %x, want %x", p.name, got, b)
		}
	})
}

func TestHeaderRefusesWhatItsTypeForbids(t *testing.T) {
	for typ, m := range messageTypes {
		if _, err := ParseMessageHeader((MessageHeader{Length: m.limit, Type: typ}).Append(nil)); err != nil {
			t.Errorf("%v of %d bytes: %v, want nil", typ, m.limit, err)
		}
		if _, err := ParseMessageHeader((MessageHeader{Length: m.limit + 1, Type: typ}).Append(nil)); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%v of %d bytes: %v, want an Invalid error", typ, m.limit+1, err)
		}
	}
	for _, b := range [][]byte{{0, 0, 0, 0, 0x77, 0, 0, 0}, {0, 0, 0, 0, byte(TypeInfo), 1, 0, 0}, {0xff, 0xff, 0xff, 0xff, byte(TypeReply), 0, 0, 0}} {
		if h, err := ParseMessageHeader(b); !errors.Is(err, cairn.Invalid) {
			t.Errorf("ParseMessageHeader(%x) = %v, %v, want an Invalid error", b, h, err)
		}
	}
}

func TestErrorsKeepTheirKindAcrossTheWire(t *testing.T) {
	cause := cairn.Errorf("put shard", cairn.Full, "no room").WithHint("add a disk")
	for _, c := range []struct {
		in             error
		kind           cairn.Kind
		text, op, hint string
	}{
		{cause, cairn.Full, "put shard: no room", "put shard", "add a disk"},
		{fmt.Errorf("commit: %w", cause), cairn.Full, "put: commit: put shard: no room", "put", "add a disk"},
		{cairn.NewError("read shard", cairn.NotFound, nil), cairn.NotFound, "read shard: not found", "read shard", ""},
		{errors.New("open /secret/path: no such file"), cairn.Internal, "put: the node met an internal error", "put", ""},
		{cairn.Errorf("put shard", cairn.Denied, "line one\nline \x1b[31mtwo"), cairn.Denied, "put shard: line one line ?[31mtwo", "put shard", ""},
	} {
		got, err := ParseError(AppendError(nil, "put", c.in))
		if err != nil || got.Kind != c.kind || got.Error() != c.text || got.Op != c.op || got.Hint != c.hint {
			t.Errorf("error %q crossed as %+v, %v; want kind %v, %q, hint %q", c.in, got, err, c.kind, c.text, c.hint)
		}
	}
	long := AppendError(nil, "op", cairn.Errorf(strings.Repeat("ö", 500), cairn.Invalid, "%s", strings.Repeat("ü", 5000)))
	if _, err := ParseError(long); err != nil || len(long) > maxWireError {
		t.Errorf("a long error takes %d bytes and parses as %v; want at most %d and nil", len(long), err, maxWireError)
	}
}

func TestVersionsNegotiate(t *testing.T) {
	for _, c := range []struct{ oldest, newest, want uint8 }{{1, 1, 1}, {1, 9, 1}, {2, 9, 0}} {
		got, err := Hello{Oldest: c.oldest, Newest: c.newest}.Negotiate()
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("Negotiate(%d to %d) = %d, %v, want %d", c.oldest, c.newest, got, err, c.want)
		}
	}
}

func TestTailsStopAtTheMessageLimit(t *testing.T) {
	h := testHeader(0)
	manifest := make([]byte, 2<<20)
	tail := cairn.Tail{Header: h, Manifest: manifest, Trailer: cairn.NewTrailer(h, cairn.Root{}, cairn.Digest{}, manifest)}
	b := AppendTails(nil, []cairn.Tail{tail, tail, tail, tail, tail, tail})
	got, err := ParseTails(b)
	if err != nil || len(b) > MaxMessage || len(got) != 4 {
		t.Fatalf("6 tails of 2 MiB: %d in %d bytes, %v; want 4 in at most %d bytes", len(got), len(b), err, MaxMessage)
	}
	if !reflect.DeepEqual(got[3].Trailer, tail.Trailer) {
		t.Errorf("trailer = %+v, want %+v", got[3].Trailer, tail.Trailer)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	many := make([]cairn.ShardID, MaxBatch+1)
	for _, c := range []struct {
		name string
		err  error
	}{
		{"read", ReadRequest{Length: MaxRead + 1}.Validate()},
		{"read before the start", ReadRequest{Offset: -1, Length: 1}.Validate()},
		{"tails of nothing", TailsRequest{}.Validate()},
		{"tails", TailsRequest{IDs: many}.Validate()},
		{"delete", DeleteRequest{IDs: many}.Validate()},
		{"list", ListRequest{Limit: MaxList + 1}.Validate()},
		{"record", PutRecordRequest{Record: make([]byte, MaxSmall+1)}.Validate()},
	} {
		if !errors.Is(c.err, cairn.Invalid) {
			t.Errorf("%s: %v, want an Invalid error", c.name, c.err)
		}
	}
	if _, err := ParseTails([]byte{0xff, 3, 0, 0}); !errors.Is(err, cairn.Invalid) {
		t.Errorf("a reply that claims 1023 tails in 4 bytes: %v, want an Invalid error", err)
	}
}
