package s3api_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
)

const shortPatience = 50 * time.Millisecond

// outlast waits until any deadline set now has passed.
func outlast() { <-time.After(4 * shortPatience) }

// sluggish is a store that takes its time in the middle of bodies.
type sluggish struct{ s3api.Store }

type pausing struct {
	io.Reader
	once bool
}

func (p *pausing) Read(b []byte) (int, error) {
	if !p.once && len(b) > 1000 {
		b = b[:1000]
	}
	n, err := p.Reader.Read(b)
	if !p.once {
		p.once = true
		outlast()
	}
	return n, err
}

func (s sluggish) Put(ctx context.Context, req gateway.PutRequest) (gateway.Stored, error) {
	req.Body = &pausing{Reader: req.Body}
	return s.Store.Put(ctx, req)
}

func (s sluggish) Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	o, err := s.Store.Get(ctx, req)
	if err == nil {
		o.Body = sluggishBody{o.Body}
	}
	return o, err
}

type sluggishBody struct{ gateway.Body }

func (b sluggishBody) WriteTo(w io.Writer) (int64, error) {
	return b.Body.WriteTo(writerFunc(func(p []byte) (int, error) {
		half := len(p) / 2
		n, err := w.Write(p[:half])
		if err != nil {
			return n, err
		}
		outlast()
		m, err := w.Write(p[half:])
		return n + m, err
	}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The client's deadline does not run while it is us who are slow.
func TestSlowStoreIsNotTheClientsFault(t *testing.T) {
	body := strings.Repeat("0123456789", 50_000)
	for _, proto := range []int{1, 2} {
		h, err := s3api.New(s3api.Config{Store: sluggish{refmodel.New(refmodel.Config{})}, Verifier: verifier(t), Patience: shortPatience})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(nil)
		srv.Config = s3api.NewServer(h, nil)
		srv.EnableHTTP2 = proto == 2
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c := apitest.NewClient(srv.URL, region, accessKey, secretKey)
		c.HTTP = srv.Client()
		b := c.Bucket(t)
		c.Put(t, "/"+b+"/k", body, nil)
		if got := c.Want(t, 200, "", apitest.Request{Method: "GET", Path: "/" + b + "/k"}).Body; got != body {
			t.Errorf("HTTP/%d: %d bytes came back", proto, len(got))
		}
		r, err := c.Build(t.Context(), apitest.Request{Method: "HEAD", Path: "/" + b})
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.HTTP.Do(r)
		if err != nil || res.ProtoMajor != proto {
			t.Fatalf("spoke %v, %v, want HTTP/%d", res, err, proto)
		}
		_ = res.Body.Close()
	}
}

// A deadline of the last request does not spoil the next one.
func TestIdleConnectionStillGetsContinue(t *testing.T) {
	c := serve(t, s3api.Config{Patience: shortPatience})
	b := c.Bucket(t)
	res, br, conn := raw(t, c, head(t, c, apitest.Request{Method: "GET", Path: "/" + b}))
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	outlast()
	q := apitest.Request{Method: "PUT", Path: "/" + b + "/k", Body: "welcome"}
	if _, err := io.WriteString(conn, head(t, c, q, "Content-Length: 7", "Expect: 100-continue")); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, br, http.StatusContinue)
	if _, err := io.WriteString(conn, "welcome"); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, br, http.StatusOK)
}

func wantStatus(t *testing.T, br *bufio.Reader, want int) {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != want {
		t.Fatalf("answer %v, %v, want %d", res, err, want)
	}
}
