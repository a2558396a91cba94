package recovery

import (
	"context"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// decision is what deciding found out, for settle and the verdict.
type decision struct {
	*index
	counts counts
}

// candidate is one copy of a version record.
type candidate struct {
	version  *cairn.Version
	record   catalog.Location // zero when it rides in a manifest
	own      cairn.SegmentID  // the segment it rides in, or zero
	health   health
	reserves int // by how many shards its worst segment is above k; negative when it is unreadable
}

// health of an object, best first.
type health uint8

const (
	complete health = iota
	degraded
	unreadable
)

// decide chooses the version each key shows and commits it.
func (r *run) decide(ctx context.Context) (*decision, error) {
	x, err := r.buildIndex(ctx)
	if err != nil {
		return nil, err
	}
	d := &decision{index: x}
	r.objects = 0
	w := newWriter(r.cfg.Catalog)
	for facts := x.facts; len(facts) > 0; {
		n := 1
		for n < len(facts) && facts[n].key == facts[0].key {
			n++
		}
		if err := r.decideKey(ctx, d, w, facts[:n]); err != nil {
			return nil, err
		}
		facts = facts[n:]
		if w.full() {
			if err := w.commit(ctx, false); err != nil {
				return nil, err
			}
			r.objects = d.counts.objects
			r.progress()
		}
	}
	if err := w.commit(ctx, true); err != nil {
		return nil, err
	}
	r.objects = d.counts.objects
	return d, nil
}

// decideKey decides one key, whose facts stand newest first.
func (r *run) decideKey(ctx context.Context, d *decision, w *writer, facts []fact) error {
	var tombs []cairn.Tombstone
	for _, f := range facts {
		if f.tombstone {
			tombs = append(tombs, cairn.Tombstone{ID: f.id, Target: f.target})
		}
	}
	var alive []candidate // the best copy of each version, newest first
	var last cairn.VersionID
	for _, f := range facts {
		if f.tombstone {
			continue
		}
		c, err := r.load(d, f)
		if err != nil {
			return err
		}
		if killed(tombs, d.buckets[c.version.Bucket].deleted, f.id) {
			if f.id != last {
				d.counts.deleted++
			}
			last = f.id
			w.garbage(c.record)
			continue
		}
		last = f.id
		if n := len(alive); n > 0 && alive[n-1].version.ID == f.id {
			loser := c
			if c.reserves > alive[n-1].reserves {
				alive[n-1], loser = c, alive[n-1]
			}
			r.giveUpCopy(d, w, &alive[n-1], &loser)
			continue
		}
		alive = append(alive, c)
	}
	if len(alive) == 0 {
		return nil
	}
	if d.buckets[alive[0].version.Bucket].versioned {
		for i := range alive {
			r.keep(ctx, d, w, &alive[i])
		}
		return nil
	}
	r.choose(ctx, d, w, alive)
	return nil
}

// giveUpCopy turns the worse of two copies of a version into garbage, unless a
// missing node could make it the only one that can be read.
func (r *run) giveUpCopy(d *decision, w *writer, better, worse *candidate) {
	if better.reserves < 0 && worse.reserves+r.state.unanswered() >= 0 {
		d.hold(worse)
		return
	}
	w.garbage(worse.record)
}

func killed(tombs []cairn.Tombstone, bucketGone, id cairn.VersionID) bool {
	for i := range tombs {
		if tombs[i].Kills(id) {
			return true
		}
	}
	return id.Compare(bucketGone) < 0
}

// choose keeps one version of a key and gives up the others.
//
// The newest version wins. But one that rides in the manifest of a segment that
// cannot be read, and could not be even if every missing node had a shard of
// it, is a write that never ended: the next one is looked at. (A record of its
// own is only written once all its segments are there.) While missing nodes may
// still bring the winner back, older ones are neither shown nor deleted.
func (r *run) choose(ctx context.Context, d *decision, w *writer, alive []candidate) {
	winner := 0
	for i := range alive {
		if alive[i].own == (cairn.SegmentID{}) || alive[i].reserves+r.state.unanswered() >= 0 {
			winner = i
			break
		}
	}
	isDoubtful := alive[winner].reserves < 0 && alive[winner].reserves+r.state.unanswered() >= 0
	for i := range alive {
		switch {
		case i == winner:
			r.keep(ctx, d, w, &alive[i])
		case i > winner && isDoubtful:
			d.counts.undecided++
			d.hold(&alive[i])
		case i > winner:
			d.counts.superseded++
			w.garbage(alive[i].record)
		default:
			d.counts.unfinished++
			w.garbage(alive[i].record)
		}
	}
}

// keep makes a version part of the catalog.
func (r *run) keep(ctx context.Context, d *decision, w *writer, c *candidate) {
	v := c.version
	d.buckets[v.Bucket].hasObjects = true
	d.eachSegment(v, func(s *segment) { s.refs++ })
	w.version(&catalog.VersionEntry{Version: *v, Record: c.record})
	if v.Marker {
		return
	}
	d.counts.objects++
	d.counts.bytes += v.Size
	switch c.health {
	case degraded:
		d.counts.degraded++
	case unreadable:
		d.counts.unreadable++
		if d.counts.unreadable <= maxNamed {
			r.cfg.Log.ErrorContext(ctx, "object cannot be read", "bucket", v.Bucket, "key", v.Key, "missing", -c.reserves)
		}
	}
}

// maxNamed bounds the unreadable objects that are named in the log.
const maxNamed = 100

// hold keeps the segments of a version from being deleted.
func (d *decision) hold(c *candidate) {
	d.eachSegment(c.version, func(s *segment) { s.held = true })
	if s := d.segment(c.own); s != nil {
		s.held = true
	}
}

func (x *index) eachSegment(v *cairn.Version, f func(*segment)) {
	for i := range v.Parts {
		for _, ref := range v.Parts[i].Segments {
			for _, id := range []cairn.SegmentID{ref.ID, ref.Mirror} {
				if s := x.segment(id); s != nil {
					f(s)
				}
			}
		}
	}
}

// load reads a version back from the spool and looks at its segments.
func (r *run) load(d *decision, f fact) (candidate, error) {
	at, err := r.spool.at(f.offset)
	if err != nil {
		return candidate{}, err
	}
	encoded, err := r.cfg.Keys.OpenManifest(at.header.Shard.Segment, at.header.Kind, at.manifest)
	if err != nil {
		return candidate{}, err
	}
	var c candidate
	if at.header.Kind == cairn.KindVersion {
		c.record = r.location(at)
	} else {
		m, err := cairn.DecodeManifest(encoded)
		if err != nil {
			return candidate{}, err
		}
		encoded, c.own = m.Version, at.header.Shard.Segment
	}
	if c.version, err = cairn.DecodeVersion(encoded); err != nil {
		return candidate{}, err
	}
	d.judge(&c)
	return c, nil
}

// judge sets a candidate's health: that of its worst segment, each as good as
// the better of its two groups.
func (x *index) judge(c *candidate) {
	c.reserves = cairn.MaxShards
	for i := range c.version.Parts {
		for _, ref := range c.version.Parts[i].Segments {
			h, reserves := x.judgeSegment(ref.ID)
			if ref.Mirror != (cairn.SegmentID{}) {
				h2, reserves2 := x.judgeSegment(ref.Mirror)
				if h = max(h, h2); h == unreadable && max(reserves, reserves2) >= 0 {
					h = degraded
				}
				reserves = max(reserves, reserves2)
			}
			c.health, c.reserves = max(c.health, h), min(c.reserves, reserves)
		}
	}
}

func (x *index) judgeSegment(id cairn.SegmentID) (health, int) {
	s := x.segment(id)
	if s == nil {
		return unreadable, -1 // or worse: nobody has anything, so k is not known
	}
	reserves := int(s.living) - int(s.need)
	switch {
	case reserves < 0:
		return unreadable, reserves
	case s.living < s.total:
		return degraded, reserves
	}
	return complete, reserves
}
