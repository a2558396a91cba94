package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
)

// The cost of the HTTP layer: the store is in memory, so what is left is
// parsing, signatures, digests of the model (PUT) and copying.
func BenchmarkObjects(b *testing.B) {
	c := serve(b, s3api.Config{})
	bucket := c.Bucket(b)
	for _, size := range []int{4 << 10, 8 << 20} {
		body := strings.Repeat("x", size)
		path := fmt.Sprintf("/%s/%d", bucket, size)
		unsigned := map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
		for _, q := range []apitest.Request{{Method: "PUT", Body: body, Header: unsigned}, {Method: "GET"}, {Method: "HEAD"}} {
			q.Path = path
			b.Run(fmt.Sprintf("%s/%d", q.Method, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					c.Want(b, 200, "", q)
				}
			})
		}
	}
}
