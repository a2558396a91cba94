package apitest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/s3api"
)

// Option changes what Compare does.
type Option func(*comparer)

// Before calls f before every step with its number and operation, e.g. to stop
// and start nodes.
func Before(f func(step int, operation string)) Option {
	return func(c *comparer) { c.before = append(c.before, f) }
}

// Reopen lets f replace the real store before every step, e.g. by the same one
// opened anew. A nil result keeps it.
func Reopen(f func(step int) s3api.Store) Option {
	return func(c *comparer) { c.reopen = f }
}

// Tolerate says which errors of the real store are the work of injected faults.
// An operation that fails with one may have taken effect or not, but nothing in
// between; Compare finds out which. While it looks, heal is called.
func Tolerate(tolerated func(error) bool, heal func()) Option {
	return func(c *comparer) { c.tolerated, c.heal = tolerated, heal }
}

// MinPart is the smallest part both stores accept; the default is 5 MiB.
func MinPart(n int) Option { return func(c *comparer) { c.minPart = n } }

// MaxSize bounds the objects put, for stores that are slow.
func MaxSize(n int) Option {
	return func(c *comparer) {
		c.sizes = slices.DeleteFunc(slices.Clone(c.sizes), func(s int) bool { return s > n })
	}
}

// Compare drives both stores with the same random operations and fails at the
// first answer in which they differ. The seed makes a run again. Both stores
// must be empty at the start, and are not emptied at the end.
func Compare(t testing.TB, seed uint64, steps int, model, real s3api.Store, options ...Option) {
	t.Helper()
	c := &comparer{
		t: t, ctx: t.Context(), seed: seed, rnd: rand.New(rand.NewPCG(seed, 0xca1)),
		model: &side{store: model}, real: &side{store: real}, minPart: partSize,
		sizes: append([]int{2, 100, 4000, 20_000, 300_000, 3 << 20}, sizes...),
	}
	for _, o := range options {
		o(c)
	}
	for range 12 {
		c.keys = append(c.keys, c.newKey())
	}
	for c.step = range steps {
		op := c.next()
		for _, f := range c.before {
			f(c.step, op.name)
		}
		if c.reopen != nil {
			if s := c.reopen(c.step); s != nil {
				c.real.store = s
			}
		}
		c.log = append(c.log, op.name+" "+op.detail)
		c.do(op)
	}
	c.sweep()
}

// comparer is one run of Compare.
type comparer struct {
	t    testing.TB
	ctx  context.Context
	seed uint64
	rnd  *rand.Rand
	step int
	log  []string // what was done

	model, real *side
	keys        []string
	pending     []*pending
	sizes       []int
	minPart     int

	before    []func(int, string)
	reopen    func(int) s3api.Store
	tolerated func(error) bool
	heal      func()
}

// side is one of the two stores. Upload ids differ between stores, so uploads go
// by their place in a list.
type side struct {
	store   s3api.Store
	uploads []string
}

// operation is one step: what it does to a side, as a text both must agree on.
type operation struct {
	name, detail string
	run          func(*side) (view string, err error)
	// state is what the operation may change, as a text; nil if it only reads.
	state func(*side) (view string, err error)
	// undo removes what an operation that was given up may have left and nobody
	// can name.
	undo func(*side)
}

func (c *comparer) do(op operation) {
	got, err := op.run(c.real)
	if err != nil && c.tolerated != nil && c.tolerated(err) {
		c.settle(op)
		return
	}
	got = withError(got, err)
	want := withError(op.run(c.model))
	if got != want {
		c.differ(op, got, want)
	}
	if op.state == nil {
		return
	}
	got, err = op.state(c.real)
	if err != nil && c.tolerated != nil && c.tolerated(err) {
		return
	}
	got = withError(got, err)
	if want := withError(op.state(c.model)); got != want {
		op.name = "state after " + op.name
		c.differ(op, got, want)
	}
}

// settle finds out whether a failed operation took effect, and makes the model
// follow.
func (c *comparer) settle(op operation) {
	if op.state == nil {
		return
	}
	if op.undo != nil {
		c.heal()
		op.undo(c.real)
		return
	}
	var got string
	var err error
	for range 100 {
		c.heal()
		if got, err = op.state(c.real); err == nil || !c.tolerated(err) {
			break
		}
	}
	got = withError(got, err)
	without := withError(op.state(c.model))
	if got == without {
		return
	}
	op.run(c.model)
	if with := withError(op.state(c.model)); got != with {
		op.name = "failed " + op.name
		c.differ(op, got, "either\n"+without+"\nor\n"+with)
	}
}

func (c *comparer) differ(op operation, got, want string) {
	c.t.Helper()
	from := max(0, len(c.log)-25)
	c.t.Fatalf("seed %d, step %d: %s %s\n got %s\nwant %s\nlast steps:\n%s",
		c.seed, c.step, op.name, op.detail, got, want, strings.Join(c.log[from:], "\n"))
}

// withError describes an outcome. Errors are equal if S3 answers them alike.
func withError(view string, err error) string {
	if err == nil {
		return view
	}
	e, known := s3api.ErrorOf(err)
	if !known {
		return fmt.Sprintf("unknown error: %v", err)
	}
	text := "error " + e.Code
	for _, f := range e.Fields {
		text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
	}
	return text
}

// sweep compares everything there is.
func (c *comparer) sweep() {
	for _, b := range buckets {
		c.do(operation{name: "final list", detail: b, run: func(s *side) (string, error) {
			res, err := s.store.List(c.ctx, gateway.ListRequest{Bucket: b, Max: 10_000})
			return viewList(res), err
		}})
		for _, k := range c.keys {
			c.do(operation{name: "final read", detail: fmt.Sprintf("%s %q", b, k), run: c.objectState(b, k)})
		}
	}
}

var buckets = []string{"alpha-bucket", "beta.bucket", "gamma-bucket"}

func (c *comparer) bucket() string { return buckets[c.rnd.IntN(len(buckets))] }

func (c *comparer) key() string {
	if c.rnd.IntN(20) == 0 {
		c.keys = append(c.keys, c.newKey())
	}
	return c.keys[c.rnd.IntN(len(c.keys))]
}

func (c *comparer) newKey() string {
	if c.rnd.IntN(2) == 0 {
		return OddKeys[c.rnd.IntN(len(OddKeys))]
	}
	pieces := []string{"a", "b", "/", "//", ".", "..", "+", "%", " ", "é", "日", "\x01", "%2F", "z", "-"}
	k := pieces[c.rnd.IntN(len(pieces))]
	for range c.rnd.IntN(8) {
		k += pieces[c.rnd.IntN(len(pieces))]
	}
	return k
}

func (c *comparer) chance(percent int) bool { return c.rnd.IntN(100) < percent }

func pick[T any](c *comparer, list ...T) T { return list[c.rnd.IntN(len(list))] }
