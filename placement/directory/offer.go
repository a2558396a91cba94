package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/cairn-store/cairn"
)

// Offer hands the directory a signed record from anywhere. It is verified
// first: a forged record is a Corrupt error, an expired one Denied, one of
// another network Invalid. One that is not newer than what is known is an
// Exists error, and a set that is full of better nodes a Full error.
func (d *Directory) Offer(raw []byte) error {
	_, err := d.offer(raw, "")
	return err
}

// offer reports whether the node was unknown before.
func (d *Directory) offer(raw []byte, from peer.ID) (isNew bool, err error) {
	const op = "enter node record"
	now := d.c.Now()
	rec, err := Verify(raw, d.host.network, now)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	known := d.nodes[rec.NodeID]
	d.mu.Unlock()
	if known == nil && rec.NodeID != d.host.id && d.c.Admit != nil && !d.c.Admit(rec) {
		return false, cairn.Errorf(op, cairn.Denied, "node %s is not admitted", rec.NodeID.Short())
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if rec.NodeID == d.host.id {
		// Our own, from an earlier run or a clock that ran ahead: outdo it.
		if rec.Seq > d.selfSeq {
			d.selfSeq = rec.Seq
			wake(d.refreshWake)
		}
		if d.c.Self != nil {
			return false, cairn.NewError(op, cairn.Exists, errors.New("it is our own"))
		}
	}
	e := d.nodes[rec.NodeID]
	if e != nil && rec.Seq <= e.rec.Seq {
		return false, cairn.Errorf(op, cairn.Exists, "record %d of %s is not newer than %d", rec.Seq, rec.NodeID.Short(), e.rec.Seq)
	}
	raw = bytes.Clone(raw)
	if e != nil {
		moved := !sameFacts(e.rec, rec)
		if moved && e.health.state != Alive {
			e.health.next = now // it may be back, elsewhere
			wake(d.checkWake)
		}
		e.rec, e.raw = rec, raw
		if moved {
			d.tell(news{raw, from})
		}
		d.changed()
		return false, nil
	}
	if len(d.nodes) >= d.c.MaxNodes && !d.makeRoom() {
		return false, cairn.Errorf(op, cairn.Full, "%d nodes are known, which is the limit", len(d.nodes))
	}
	d.insert(&entry{rec: rec, raw: raw, health: health{since: now, reason: notChecked, next: now}})
	d.c.Logger.Info("node learned", "node", rec.NodeID, "domain", rec.FailureDomain)
	d.tell(news{raw, from})
	d.changed()
	wake(d.checkWake)
	return true, nil
}

// makeRoom forgets one node that never answered, or else one that is gone;
// d.mu is held. Nodes that once kept data for us are the last to be forgotten.
func (d *Directory) makeRoom() bool {
	now := d.c.Now()
	var victim *entry
	for _, e := range d.nodes {
		if e == d.self || e.view(now).Liveness == Alive || (!e.health.lastOK.IsZero() && e.view(now).Liveness != Gone) {
			continue
		}
		if e.health.state == Suspect && e.health.reason == notChecked {
			continue // it has not had its chance
		}
		if victim == nil || e.health.lastOK.Before(victim.health.lastOK) {
			victim = e
		}
	}
	if victim == nil {
		return false
	}
	d.remove(victim.rec.NodeID)
	return true
}

// tell queues a record for connected peers; a full queue drops it, and the
// next exchange makes up for it.
func (d *Directory) tell(n news) {
	select {
	case d.gossip <- n:
	default:
	}
}

// sameFacts reports whether two records say the same but for times, sequence
// and small changes of free space.
func sameFacts(a, b Record) bool {
	if diff := a.FreeBytes - b.FreeBytes; max(diff, -diff) > max(a.CapacityBytes, b.CapacityBytes)/20 {
		return false
	}
	a.NodeID, a.Network, a.Seq, a.FreeBytes = b.NodeID, b.Network, b.Seq, b.FreeBytes
	a.IssuedAt, a.Expires = b.IssuedAt, b.Expires
	return bytes.Equal(a.body(), b.body())
}

// renewSelf signs a new record of our own if the old one is getting old or
// says something else, and reports whether it did.
func (d *Directory) renewSelf() (bool, error) {
	if d.c.Self == nil {
		return false, nil
	}
	rec, now := d.c.Self(), d.c.Now()
	rec.NodeID, rec.Network = d.host.id, d.host.network
	if len(rec.Multiaddrs) == 0 {
		rec.Multiaddrs = d.host.Addrs()
		slices.Sort(rec.Multiaddrs)
	}
	d.mu.Lock()
	if e := d.self; e != nil && e.rec.Seq >= d.selfSeq && sameFacts(e.rec, rec) &&
		now.Before(e.rec.IssuedAt.Add(d.c.Lifetime/3)) && !now.Before(e.rec.IssuedAt) {
		d.mu.Unlock()
		return false, nil
	}
	rec.Seq = max(uint64(now.UnixNano()), d.selfSeq+1)
	d.selfSeq = rec.Seq
	d.mu.Unlock()

	rec.IssuedAt, rec.Expires = now, now.Add(d.c.Lifetime)
	raw, err := rec.Sign(d.host.key)
	if err != nil {
		return false, err
	}
	if rec, err = Open(raw, d.host.network); err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.self == nil {
		d.remove(rec.NodeID) // what the last run left of us
		d.self = &entry{health: health{state: Alive, since: now, lastOK: now}, rec: rec}
		d.insert(d.self)
	}
	d.self.rec, d.self.raw = rec, raw
	d.tell(news{raw: raw})
	d.changed()
	return true, nil
}

// header is the short form of a record in lists.
type header struct {
	id  cairn.NodeID
	seq uint64
}

// headers returns up to limit nodes with valid records after an id, and
// whether more follow.
func (d *Directory) headers(after cairn.NodeID, limit int) (list []header, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.c.Now()
	at, found := slices.BinarySearchFunc(d.order, after, compareIDs)
	if found {
		at++
	}
	for _, id := range d.order[at:] {
		e := d.nodes[id]
		if e.rec.ValidAt(now) != nil {
			continue
		}
		if len(list) == limit {
			return list, true
		}
		list = append(list, header{id, e.rec.Seq})
	}
	return list, false
}

// digest sums up all headers, so that two directories that agree notice it in
// one message.
func (d *Directory) digest() [sha256.Size]byte {
	list, _ := d.headers(cairn.NodeID{}, d.c.MaxNodes)
	sum := sha256.New()
	var seq [8]byte
	for _, h := range list {
		binary.BigEndian.PutUint64(seq[:], h.seq)
		sum.Write(h.id[:])
		sum.Write(seq[:])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// records returns the signed records of ids that are known and valid.
func (d *Directory) records(ids []cairn.NodeID) [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.c.Now()
	var out [][]byte
	for _, id := range ids {
		if e, ok := d.nodes[id]; ok && e.rec.ValidAt(now) == nil {
			out = append(out, e.raw)
		}
	}
	return out
}

// lacks returns those of list that are unknown here or newer than what is.
func (d *Directory) lacks(list []header) (ids []cairn.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range list {
		if e, ok := d.nodes[h.id]; h.id != d.host.id && (!ok || e.rec.Seq < h.seq) {
			ids = append(ids, h.id)
		}
	}
	return ids
}

// selfRaw returns our own signed record, nil if we are no node.
func (d *Directory) selfRaw() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.self == nil {
		return nil
	}
	return d.self.raw
}
