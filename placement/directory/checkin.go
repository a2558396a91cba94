package directory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/cairn-store/cairn"
)

// maxChecks bounds the check-ins under way.
const maxChecks = 16

// checkLoop checks in with every node when it is due.
func (d *Directory) checkLoop(ctx context.Context) {
	var checks sync.WaitGroup
	defer checks.Wait()
	slots := make(chan struct{}, maxChecks)
	for {
		due, next := d.takeDue()
		for _, r := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			checks.Go(func() {
				defer func() { <-slots }()
				d.check(ctx, r)
			})
		}
		if !pause(ctx, next, d.checkWake) {
			return
		}
	}
}

// takeDue returns the nodes that are due, which count as asked from now on, and
// how long until the next one may be.
func (d *Directory) takeDue() (due []Record, next time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.c.Now()
	next = d.c.CheckInterval / 4 // those being asked now are due again no sooner
	for _, e := range d.nodes {
		switch wait := e.health.next.Sub(now); {
		case e.asked || e == d.self:
		case wait <= 0:
			e.asked = true
			due = append(due, e.rec)
		default:
			next = min(next, wait)
		}
	}
	return due, max(next, time.Millisecond)
}

// check asks one node how it is and takes in the answer.
func (d *Directory) check(ctx context.Context, r Record) {
	asking, cancel := context.WithTimeout(ctx, d.c.CheckTimeout)
	defer cancel()
	start := time.Now()
	status, err := d.c.Checker(asking, r)
	if err == nil && status.RTT <= 0 {
		status.RTT = max(time.Since(start), 1)
	}
	if err == nil && (status.CapacityBytes < 0 || status.FreeBytes < 0) {
		err = cairn.NewError("check in", cairn.Invalid, errors.New("node reports a negative size"))
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.nodes[r.NodeID]
	if !ok {
		return
	}
	e.asked = false
	if ctx.Err() != nil {
		return // we stopped asking; the node is not to blame
	}
	now, before := d.c.Now(), e.health.state
	var changed bool
	if err != nil {
		changed = e.health.checkFailed(now, err, &d.c)
		wake(d.checkWake) // the next try may be due before anybody else's
	} else {
		if old := e.status.RTT; old > 0 {
			status.RTT = (7*old + status.RTT) / 8
		}
		e.status = status
		d.cache.stale = true
		changed = e.health.checked(now, &d.c)
	}
	if !changed {
		return
	}
	if err != nil {
		d.c.Logger.Warn("node does not answer", "node", r.NodeID, "was", before.String(), "is", e.health.state.String(), "err", err)
	} else {
		d.c.Logger.Info("node alive", "node", r.NodeID, "was", before.String())
	}
	d.changed()
}

// parted is called when the last connection to a peer has ended, which is how
// the death of a process shows first: have a look at once.
func (d *Directory) parted(p peer.ID) {
	id, err := NodeIDOf(p)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.nodes[id]; ok && e != d.self && e.health.state == Alive {
		e.health.next = d.c.Now()
		wake(d.checkWake)
	}
}
