package apitest_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/refmodel"
	"github.com/cairn-store/cairn/gateway/s3api"
	"github.com/cairn-store/cairn/gateway/s3api/apitest"
)

func steps() int {
	if testing.Short() {
		return 300
	}
	return 1500
}

func TestModelEqualsItself(t *testing.T) {
	for range 3 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		model, real := refmodel.New(refmodel.Config{MinPart: 1000}), refmodel.New(refmodel.Config{MinPart: 1000})
		apitest.Compare(t, seed, steps(), model, real, apitest.MinPart(1000), apitest.MaxSize(300_000))
	}
}

// faulty fails some writes, before or after they took effect.
type faulty struct {
	s3api.Store
	rnd *rand.Rand
	off bool
}

var errFault = cairn.Errorf("inject fault", cairn.Unavailable, "injected")

func (f *faulty) strike() (before, after bool) {
	if f.off {
		return false, false
	}
	n := f.rnd.IntN(10)
	return n == 0, n == 1
}

func (f *faulty) Put(ctx context.Context, req gateway.PutRequest) (gateway.Stored, error) {
	before, after := f.strike()
	if before {
		return gateway.Stored{}, errFault
	}
	s, err := f.Store.Put(ctx, req)
	if after && err == nil {
		return gateway.Stored{}, errFault
	}
	return s, err
}

func (f *faulty) CreateUpload(ctx context.Context, req gateway.CreateUploadRequest) (gateway.Upload, error) {
	before, after := f.strike()
	if before {
		return gateway.Upload{}, errFault
	}
	u, err := f.Store.CreateUpload(ctx, req)
	if after && err == nil {
		return gateway.Upload{}, errFault
	}
	return u, err
}

func (f *faulty) Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	if before, _ := f.strike(); before {
		return nil, errFault
	}
	return f.Store.Get(ctx, req)
}

func TestCompareFollowsInjectedFaults(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	real := &faulty{Store: refmodel.New(refmodel.Config{MinPart: 1000}), rnd: rand.New(rand.NewPCG(seed, 3))}
	apitest.Compare(t, seed, steps(), refmodel.New(refmodel.Config{MinPart: 1000}), real, apitest.MinPart(1000), apitest.MaxSize(70_000),
		apitest.Tolerate(func(err error) bool { return errors.Is(err, errFault) }, func() { real.off = true }),
		apitest.Before(func(int, string) { real.off = false }))
}

// Each liar is wrong in one way that Compare must notice.
type liar struct {
	s3api.Store
	lie string
}

func (l *liar) Put(ctx context.Context, req gateway.PutRequest) (gateway.Stored, error) {
	switch l.lie {
	case "ignores conditions":
		req.If = gateway.WriteCondition{}
	case "loses tags":
		req.Tags = nil
	case "believes digests":
		req.MD5, req.Expected = nil, nil
	}
	return l.Store.Put(ctx, req)
}

func (l *liar) Get(ctx context.Context, req gateway.GetRequest) (*gateway.Object, error) {
	o, err := l.Store.Get(ctx, req)
	if err == nil && l.lie == "flips a byte" && o.Length > 65_520 {
		o.Body = flipped{o.Body}
	}
	return o, err
}

func (l *liar) List(ctx context.Context, req gateway.ListRequest) (gateway.ListResult, error) {
	if l.lie == "repeats prefixes" {
		req.SkipPrefix = false
	}
	return l.Store.List(ctx, req)
}

func (l *liar) Copy(ctx context.Context, req gateway.CopyRequest) (gateway.Stored, error) {
	if l.lie == "copies blindly" {
		req.Source.If = gateway.ReadCondition{}
	}
	return l.Store.Copy(ctx, req)
}

func (l *liar) DeleteBucket(ctx context.Context, name string) error {
	if l.lie == "deletes full buckets" {
		res, err := l.List(ctx, gateway.ListRequest{Bucket: name, Max: 1000})
		if err != nil {
			return err
		}
		for _, v := range res.Versions {
			if _, err := l.Delete(ctx, gateway.DeleteRequest{Bucket: name, Key: v.Key}); err != nil {
				return err
			}
		}
	}
	return l.Store.DeleteBucket(ctx, name)
}

type flipped struct{ gateway.Body }

func (f flipped) WriteTo(w io.Writer) (int64, error) { return f.Body.WriteTo(flipper{w}) }

type flipper struct{ w io.Writer }

func (f flipper) Write(p []byte) (int, error) {
	q := append([]byte(nil), p...)
	q[len(q)-1] ^= 1
	return f.w.Write(q)
}

// recorder catches the failure of a comparison.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = format
	panic(r)
}

func TestCompareNoticesLies(t *testing.T) {
	for _, lie := range []string{"ignores conditions", "loses tags", "believes digests", "flips a byte", "repeats prefixes", "copies blindly", "deletes full buckets"} {
		t.Run(strings.ReplaceAll(lie, " ", "_"), func(t *testing.T) {
			r := &recorder{TB: t}
			func() {
				defer func() {
					if p := recover(); p != nil && p != any(r) {
						panic(p)
					}
				}()
				apitest.Compare(r, 1, 3000, refmodel.New(refmodel.Config{MinPart: 1000}),
					&liar{Store: refmodel.New(refmodel.Config{MinPart: 1000}), lie: lie}, apitest.MinPart(1000), apitest.MaxSize(70_000))
			}()
			if r.failure == "" {
				t.Error("Compare did not notice")
			}
		})
	}
}
