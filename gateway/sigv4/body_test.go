package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const crcName = "x-amz-checksum-crc32"

var chunkedModes = []Payload{PayloadChunked, PayloadChunkedTrailer, PayloadUnsignedTrailer}

// upload returns a signed PUT of data in the given mode and the bytes it sends.
func upload(t testing.TB, mode Payload, data []byte, chunk int) (*http.Request, []byte) {
	t.Helper()
	r := request()
	if !mode.Chunked() {
		stated := mode.String()
		if mode == PayloadSHA256 {
			sum := sha256.Sum256(data)
			stated = hex.EncodeToString(sum[:])
		}
		if _, err := exampleSigner.Sign(r, stated, exampleTime); err != nil {
			t.Fatal(err)
		}
		return r, data
	}
	o := Chunked{Payload: mode, Length: int64(len(data)), ChunkSize: chunk}
	if mode.hasTrailer() {
		o.Trailer, o.Value = crcName, func() string { return "NhCmhg==" }
	}
	if err := exampleSigner.SignChunked(r, bytes.NewReader(data), o, exampleTime); err != nil {
		t.Fatal(err)
	}
	wire, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, wire
}

// open verifies r and opens its body as if the connection had delivered wire.
func open(t testing.TB, r *http.Request, wire io.Reader, length int64) *Body {
	t.Helper()
	a, err := newVerifier(t, exampleTime).Verify(r)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	r.Body, r.ContentLength = io.NopCloser(wire), length
	b, err := a.Body(r)
	if err != nil {
		t.Fatalf("Body: %v", err)
	}
	return b
}

// Every mode, many lengths, chunk sizes that real clients use, and connections
// that deliver in every rhythm.
func TestEveryModeDeliversEveryByte(t *testing.T) {
	rhythms := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader,
		"half": iotest.HalfReader, "eof with data": iotest.DataErrReader,
	}
	modes := append([]Payload{PayloadUnsigned, PayloadSHA256}, chunkedModes...)
	for _, mode := range modes {
		for _, n := range []int{0, 1, 5, 8191, 8192, 8193, 65536, 65537, 700_000} {
			for _, chunk := range []int{8192, 64 << 10, 611392, 1 << 20} {
				data := bytes.Repeat([]byte("stone "), n/6+1)[:n]
				r, wire := upload(t, mode, data, chunk)
				for name, rhythm := range rhythms {
					b := open(t, r, rhythm(bytes.NewReader(wire)), int64(len(wire)))
					got, err := io.ReadAll(b)
					if err != nil || !bytes.Equal(got, data) || b.Length() != int64(n) {
						t.Fatalf("%v, %d bytes in chunks of %d, %s: %d bytes, Length %d, err %v",
							mode, n, chunk, name, len(got), b.Length(), err)
					}
					if got := b.Trailer().Get(crcName) != ""; got != mode.hasTrailer() {
						t.Fatalf("%v: trailer %v", mode, b.Trailer())
					}
				}
			}
		}
	}
}

func TestTrailerOnlyAfterTheEnd(t *testing.T) {
	r, wire := upload(t, PayloadUnsignedTrailer, make([]byte, 20000), 8192)
	b := open(t, r, bytes.NewReader(wire), -1)
	if _, err := io.ReadFull(b, make([]byte, 19999)); err != nil || b.Trailer() != nil {
		t.Fatalf("before the end: trailer %v, err %v", b.Trailer(), err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil || b.Trailer().Get(crcName) != "NhCmhg==" {
		t.Fatalf("after the last byte: trailer %v, err %v", b.Trailer(), err)
	}
}

// A body with any one bit of it flipped must not come to its end, unless the
// mode vouches for nothing and the flip is in the data or the checksum.
func TestNoFlippedBitPasses(t *testing.T) {
	data := bytes.Repeat([]byte("cairn"), 1700) // two chunks
	for _, mode := range append([]Payload{PayloadSHA256}, chunkedModes...) {
		r, wire := upload(t, mode, data, 8192)
		for i := range wire {
			if i > 300 && i < 8000 || i > 8500 && i < 8600 { // plain data, all alike
				continue
			}
			bad := slices.Clone(wire)
			bad[i] ^= 1 << (i % 8)
			b := open(t, r, bytes.NewReader(bad), int64(len(bad)))
			got, err := io.ReadAll(b)
			harmless := mode == PayloadUnsignedTrailer && len(got) == len(data) && !bytes.Equal(got, data) ||
				bytes.Equal(got, data) && sameTrailer(mode, b, wire, i)
			if err == nil && !harmless {
				t.Fatalf("%v: bit flipped at %d (%q): read %d bytes without error", mode, i, wire[i], len(got))
			}
			if err != nil && len(got) == len(data) {
				t.Fatalf("%v: bit flipped at %d: the last byte was handed out before %v", mode, i, err)
			}
		}
	}
}

// sameTrailer reports whether the flip at i could only touch what the mode does
// not sign or what has no meaning: line ends after the last chunk, the case of
// hexadecimal sizes and trailer names, an unsigned checksum's value.
func sameTrailer(mode Payload, b *Body, wire []byte, i int) bool {
	if mode == PayloadUnsignedTrailer {
		return i > bytes.LastIndexByte(wire, ':') || wire[i] >= 'A'
	}
	return b.Trailer().Get(crcName) == "NhCmhg==" || mode == PayloadChunked && (i >= len(wire)-2 || wire[i] >= 'A')
}

func TestTruncatedBodyNeverEnds(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 9000)
	for _, mode := range append([]Payload{PayloadUnsigned, PayloadSHA256}, chunkedModes...) {
		r, wire := upload(t, mode, data, 8192)
		least := len(wire) // the shortest body that is whole: line ends at the end may be missing
		switch {
		case mode == PayloadUnsignedTrailer: // a cut checksum is still a checksum
			least = bytes.LastIndexByte(wire, ':') + 2
		case mode.Chunked():
			least = len(bytes.TrimRight(wire, "\r\n"))
			if mode == PayloadChunked {
				least += 2 // the last chunk's own line end
			}
		}
		for n := range wire {
			if n > 200 && n < 8000 {
				continue
			}
			for _, cut := range []error{io.EOF, io.ErrUnexpectedEOF} {
				src := io.MultiReader(bytes.NewReader(wire[:n]), iotest.ErrReader(cut))
				_, err := io.ReadAll(open(t, r, src, int64(len(wire))))
				if whole := err == nil; whole != (n >= least && cut == io.EOF) {
					t.Fatalf("%v cut at %d of %d by %v: err %v", mode, n, len(wire), cut, err)
				}
				if err != nil && code(err) != CodeIncompleteBody && code(err) != CodeMalformedTrailer &&
					code(err) != CodeSignatureDoesNotMatch {
					t.Fatalf("%v cut at %d: err %v", mode, n, err)
				}
			}
		}
	}
}

func TestConnectionErrorIsNotTheClientsFault(t *testing.T) {
	reset := errors.New("connection reset")
	for _, mode := range append([]Payload{PayloadUnsigned, PayloadSHA256}, chunkedModes...) {
		r, wire := upload(t, mode, make([]byte, 9000), 8192)
		for _, n := range []int{0, 50, 5000, len(wire) - 1} {
			src := io.MultiReader(bytes.NewReader(wire[:n]), iotest.ErrReader(reset))
			b := open(t, r, src, int64(len(wire)))
			_, err := io.ReadAll(b)
			if !errors.Is(err, reset) {
				t.Errorf("%v broken at %d: err %v, want %v", mode, n, err, reset)
			}
			if _, again := b.Read(make([]byte, 1)); again != err {
				t.Errorf("%v broken at %d: second Read = %v, want %v", mode, n, again, err)
			}
		}
	}
}

// chunkCase is a body written by hand in the unsigned trailer mode, which
// needs no signatures: the framing rules are the same in all three.
type chunkCase struct {
	name, wire string
	length     int64
	announced  string
	want       string
}

func TestChunkFraming(t *testing.T) {
	big := strings.Repeat("d", 8192)
	const tail = "0\r\n" + crcName + ":NhCmhg==\r\n\r\n"
	for _, c := range []chunkCase{
		{"example", "5\r\nhello\r\n" + tail, 5, crcName, ""},
		{"upper case size", "A\r\nhellohello\r\n" + tail, 10, crcName, ""},
		{"leading zeros", "0005\r\nhello\r\n" + tail, 5, crcName, ""},
		{"no trailer announced", "5\r\nhello\r\n0\r\n\r\n", 5, "", ""},
		{"lf after value", "5\r\nhello\r\n0\r\n" + crcName + ":NhCmhg==\n\r\n\r\n", 5, crcName, ""},
		{"no last line end", "5\r\nhello\r\n0\r\n" + crcName + ":NhCmhg==\r\n", 5, crcName, ""},
		{"no line end", "5\r\nhello\r\n0\r\n" + crcName + ":NhCmhg==", 5, crcName, ""},
		{"empty line first", "5\r\nhello\r\n0\r\n\r\n" + crcName + ":NhCmhg==\r\n\r\n", 5, crcName, ""},
		{"space around colon", "5\r\nhello\r\n0\r\n" + crcName + " : NhCmhg== \r\n\r\n", 5, crcName, ""},
		{"name in capitals", "5\r\nhello\r\n0\r\nX-Amz-Checksum-CRC32:NhCmhg==\r\n\r\n", 5, crcName, ""},
		{"two chunks", "2000\r\n" + big + "\r\n1\r\nx\r\n" + tail, 8193, crcName, ""},
		{"small chunk first", "1fff\r\n" + big[1:] + "\r\n1\r\nx\r\n" + tail, 8192, crcName, CodeInvalidChunkSize},
		{"empty", tail, 0, crcName, ""},
		{"nothing at all", "", 0, crcName, CodeIncompleteBody},
		{"no size", "\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"negative size", "-5\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"plus", "+5\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"0x", "0x5\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"space", "5 \r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"largest size", "7fffffffffffffff\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"sign bit", "8000000000000000\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"overflow", "10000000000000005\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"longest line", strings.Repeat("0", 1021) + "5\r\nhello\r\n" + tail, 5, crcName, ""},
		{"line too long", strings.Repeat("0", 1022) + "5\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"endless line", strings.Repeat("0", 100_000), 5, crcName, CodeIncompleteBody},
		{"lf only", "5\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"extension", "5;chunk-signature=" + emptySHA256 + "\r\nhello\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"no line end after data", "5\r\nhello0\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"longer than announced", "6\r\nhello!\r\n" + tail, 5, crcName, CodeIncompleteBody},
		{"shorter than announced", "5\r\nhello\r\n" + tail, 6, crcName, CodeIncompleteBody},
		{"chunk after the last", "5\r\nhello\r\n" + tail + "5\r\nhello\r\n" + tail, 5, crcName, CodeMalformedTrailer},
		{"another trailer", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:NhCmhg==\r\n\r\n", 5, crcName, CodeMalformedTrailer},
		{"unannounced", "5\r\nhello\r\n" + tail, 5, "", CodeMalformedTrailer},
		{"missing", "5\r\nhello\r\n0\r\n\r\n", 5, crcName, CodeMalformedTrailer},
		{"twice", "5\r\nhello\r\n0\r\n" + crcName + ":a\r\n" + crcName + ":a\r\n\r\n", 5, crcName, CodeMalformedTrailer},
		{"no colon", "5\r\nhello\r\n0\r\n" + crcName + "\r\n\r\n", 5, crcName, CodeMalformedTrailer},
		{"empty value", "5\r\nhello\r\n0\r\n" + crcName + ":\r\n\r\n", 5, crcName, CodeMalformedTrailer},
		{"signature", "5\r\nhello\r\n0\r\n" + crcName + ":a\r\nx-amz-trailer-signature:" + emptySHA256 + "\r\n\r\n", 5, crcName, CodeMalformedTrailer},
		{"long trailer", "5\r\nhello\r\n0\r\n" + crcName + ":" + strings.Repeat("a", 5000) + "\r\n", 5, crcName, CodeMalformedTrailer},
		{"many empty lines", "5\r\nhello\r\n0\r\n" + strings.Repeat("\r\n", 5000), 5, "", CodeMalformedTrailer},
	} {
		if got := decode(c.wire, PayloadUnsignedTrailer, c.length, c.announced, 4096); got.code != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.code, c.want)
		}
		if _, _, got := slowDecode(c.wire, PayloadUnsignedTrailer, slowChain{}, c.length, c.announced); got != c.want {
			t.Errorf("%s: the twin says %q, want %q", c.name, got, c.want)
		}
	}
}

type decoded struct{ data, value, code string }

// fixedChain is the chain of bodies made for the decoder alone.
func fixedChain() chain {
	c := exampleSigner.claim(request(), exampleTime)
	return chain{key: deriveKey(exampleSecret, c.scope), stamp: c.stamp, scope: c.scope.String(), previous: emptySHA256}
}

func fixedSlowChain() slowChain {
	c := fixedChain()
	return slowChain{string(c.key[:]), c.stamp + "\n" + c.scope, c.previous}
}

// decode runs the reader over wire with reads of the given size. A failed body
// counts as having no bytes, as it has for whoever stores it.
func decode(wire string, mode Payload, length int64, announced string, step int) decoded {
	r := newChunkReader(strings.NewReader(wire), mode, fixedChain(), length)
	r.trailer.announced = announced
	b := Body{src: r, length: length, chunks: r}
	var data []byte
	for p := make([]byte, step); ; {
		n, err := b.Read(p)
		data = append(data, p[:n]...)
		if int64(len(data)) > length {
			return decoded{code: "more bytes than announced"}
		}
		if err == io.EOF {
			return decoded{string(data), b.Trailer().Get(announced), ""}
		}
		if err != nil {
			return decoded{code: code(err)}
		}
	}
}

// The reader and its twin must agree on bodies that are right and on bodies
// with a few random faults.
func TestChunkReaderAgreesWithTwin(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	seen := map[string]int{}
	for range 4000 {
		mode := chunkedModes[rnd.IntN(3)]
		wire, length := randomWire(rnd, mode)
		announced := ""
		if mode.hasTrailer() {
			announced = crcName
		}
		for range rnd.IntN(3) {
			wire = damage(rnd, wire)
		}
		got := decode(wire, mode, length, announced, 1+rnd.IntN(20000))
		data, value, code := slowDecode(wire, mode, fixedSlowChain(), length, announced)
		if code != "" {
			data, value = "", ""
		}
		if want := (decoded{data, value, code}); got != want {
			t.Fatalf("%v, length %d: %q, %d bytes, want %q, %d bytes, for %q",
				mode, length, got.code, len(got.data), want.code, len(want.data), wire)
		}
		seen[code]++
	}
	for _, c := range []string{"", CodeIncompleteBody, CodeSignatureDoesNotMatch, CodeMalformedTrailer, CodeInvalidChunkSize} {
		if seen[c] == 0 {
			t.Errorf("no body ended with %q: %v", c, seen)
		}
	}
}

func randomWire(rnd *rand.Rand, mode Payload) (string, int64) {
	data := strings.Repeat("s", rnd.IntN(30000))
	w := chunkWriter{src: strings.NewReader(data), data: make([]byte, 8000+rnd.IntN(9000)), chain: fixedChain(),
		opts: Chunked{Payload: mode}}
	if mode.hasTrailer() {
		w.opts.Trailer, w.opts.Value = crcName, func() string { return strconv.Itoa(rnd.IntN(1e6)) }
	}
	wire, err := io.ReadAll(&w)
	if err != nil {
		panic(err) // the writer reads from memory
	}
	return string(wire), int64(len(data))
}

func damage(rnd *rand.Rand, wire string) string {
	i := rnd.IntN(len(wire) + 1)
	if rnd.IntN(2) == 0 { // near the end, where the trailers are
		i = max(0, len(wire)-rnd.IntN(200))
	}
	switch rest := wire[i:]; {
	case rnd.IntN(4) == 0:
		return wire[:i]
	case rnd.IntN(3) == 0:
		return wire[:i] + []string{"\r\n", "\n", "0", ";", "\x00", " ", ":"}[rnd.IntN(7)] + rest
	case rest != "":
		return wire[:i] + rest[1:]
	}
	return wire
}

func FuzzChunkReader(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		for i, mode := range chunkedModes {
			wire, length := randomWire(rnd, mode)
			f.Add(wire, uint8(i), length, uint16(4096))
		}
	}
	f.Add("5\r\nhello\r\n0\r\n"+crcName+":NhCmhg==\n\r\n", uint8(2), int64(5), uint16(1))
	f.Add("7fffffffffffffff\r\nhello", uint8(2), int64(1<<62), uint16(1))
	f.Fuzz(func(t *testing.T, wire string, m uint8, length int64, step uint16) {
		mode := chunkedModes[int(m)%len(chunkedModes)]
		announced := ""
		if mode.hasTrailer() {
			announced = crcName
		}
		length = max(length, 0)
		got := decode(wire, mode, length, announced, int(step)+1)
		data, value, code := slowDecode(wire, mode, fixedSlowChain(), length, announced)
		if code != "" {
			data, value = "", ""
		}
		if want := (decoded{data, value, code}); got != want {
			t.Fatalf("%v: %.200q, want %.200q", mode, got, want)
		}
	})
}

func TestTrailerSignatureIsTheLastLine(t *testing.T) {
	r, wire := upload(t, PayloadChunkedTrailer, []byte("hello"), 8192)
	head, rest, _ := strings.Cut(string(wire), crcName)
	value, signature, _ := strings.Cut(crcName+rest, "\r\n")
	signature = strings.TrimSpace(signature)
	for lines, want := range map[string]string{
		value + "\r\n" + signature:                      "",
		value + "\n\r\n" + signature + "\r\n\r\n":       "",
		signature + "\r\n" + value + "\r\n\r\n":         CodeMalformedTrailer,
		value + "\r\n" + signature + "\r\n" + signature: CodeMalformedTrailer,
		value: CodeIncompleteBody,
		"":    CodeIncompleteBody,
		value + "\r\n" + signature[:len(signature)-1] + "g": CodeSignatureDoesNotMatch,
	} {
		_, err := io.ReadAll(open(t, r, strings.NewReader(head+lines), -1))
		if code(err) != want {
			t.Errorf("trailer %q: %v, want %q", lines, err, want)
		}
	}
}

func TestBodyNeedsALength(t *testing.T) {
	for _, c := range []struct {
		mode Payload
		name string
		val  string
		len  int64
		want string
	}{
		{PayloadUnsigned, "X", "", -1, CodeMissingContentLength},
		{PayloadSHA256, "X", "", -1, CodeMissingContentLength},
		{PayloadChunked, "X-Amz-Decoded-Content-Length", "", 10, CodeMissingContentLength},
		{PayloadChunked, "X-Amz-Decoded-Content-Length", "-1", 10, CodeInvalidArgument},
		{PayloadChunked, "X-Amz-Decoded-Content-Length", "9223372036854775808", 10, CodeInvalidArgument},
		{PayloadChunked, "X-Amz-Decoded-Content-Length", "9223372036854775807", -1, ""},
		{PayloadUnsignedTrailer, "X-Amz-Trailer", "", -1, ""},
		{PayloadUnsignedTrailer, "X-Amz-Trailer", "Expires", -1, CodeInvalidRequest},
		{PayloadUnsignedTrailer, "X-Amz-Trailer", "x-amz-checksum-", -1, CodeInvalidRequest},
		{PayloadUnsignedTrailer, "X-Amz-Trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1", -1, CodeInvalidRequest},
		{PayloadUnsignedTrailer, "X-Amz-Trailer", " X-Amz-Checksum-Sha1 ", -1, ""},
	} {
		r := httptest.NewRequest(http.MethodPut, "/b/k", nil)
		r.ContentLength = c.len
		r.Header.Set("X-Amz-Decoded-Content-Length", "5")
		r.Header.Set(c.name, c.val)
		if _, err := (&Auth{Payload: c.mode}).Body(r); code(err) != c.want {
			t.Errorf("%v, %s %q, Content-Length %d: Body = %v, want %q", c.mode, c.name, c.val, c.len, err, c.want)
		}
	}
}

func TestSHA256MismatchNamesBothSums(t *testing.T) {
	r, _ := upload(t, PayloadSHA256, []byte("hello"), 0)
	_, err := io.ReadAll(open(t, r, strings.NewReader("jello"), 5))
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != CodeContentSHA256Mismatch {
		t.Fatalf("read = %v, want %s", err, CodeContentSHA256Mismatch)
	}
	if got, want := e.Field("S3ComputedContentSHA256"), slowHash("jello"); got != want {
		t.Errorf("computed sum = %s, want %s", got, want)
	}
	if got, want := e.Field("ClientComputedContentSHA256"), slowHash("hello"); got != want {
		t.Errorf("client's sum = %s, want %s", got, want)
	}
}

func TestSmallChunkErrorNamesTheChunk(t *testing.T) {
	r := newChunkReader(strings.NewReader("5\r\nhello\r\n1\r\n"), PayloadUnsignedTrailer, chain{}, 6)
	_, err := io.ReadAll(r)
	if e, ok := errors.AsType[*Error](err); !ok || e.Field("Chunk") != "2" || e.Field("BadChunkSize") != "5" {
		t.Errorf("read = %v with %v, want chunk 2 and size 5", err, fmt.Sprint(e))
	}
}
