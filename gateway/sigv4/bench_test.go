package sigv4

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, exampleTime)
	for name, r := range map[string]*http.Request{"header": signed(b), "presigned": presigned(b, time.Hour)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBody(b *testing.B) {
	data := make([]byte, 16<<20)
	for _, c := range []struct {
		mode  Payload
		chunk int
	}{{PayloadUnsigned, 0}, {PayloadSHA256, 0}, {PayloadChunked, 64 << 10}, {PayloadChunked, 8192}, {PayloadUnsignedTrailer, 64 << 10}, {PayloadUnsignedTrailer, 1 << 20}} {
		b.Run(fmt.Sprintf("%v/%d", c.mode, c.chunk), func(b *testing.B) {
			r, wire := upload(b, c.mode, data, c.chunk)
			p := make([]byte, 256<<10)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				body := open(b, r, bytes.NewReader(wire), int64(len(wire)))
				for err := error(nil); err != io.EOF; {
					if _, err = body.Read(p); err != nil && err != io.EOF {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
