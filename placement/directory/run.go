package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/cairn-store/cairn"
)

const (
	// introductions and greetings bound how many newly learned nodes are
	// visited at once: nodes make themselves known, gateways only look around.
	introductions = 16
	greetings     = 4
	// sampled is how many live nodes are asked for news each interval.
	sampled = 3
	// maxJoinPause bounds the pause between tries while nobody answers.
	maxJoinPause = 5 * time.Second
	// savePause gathers changes before the set is written.
	savePause = 500 * time.Millisecond
)

// Run keeps the directory current until ctx ends: it joins the network,
// exchanges records, checks in with nodes, serves exchanges, and keeps the set
// on disk. It returns once all its goroutines have ended: nil when ctx ended,
// or why it could not go on. Call it once.
func (d *Directory) Run(ctx context.Context) error {
	if _, err := d.renewSelf(); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	parted := &network.NotifyBundle{DisconnectedF: func(n network.Network, c network.Conn) {
		if n.Connectedness(c.RemotePeer()) != network.Connected {
			d.parted(c.RemotePeer())
		}
	}}
	d.host.p2p.Network().Notify(parted)
	server := d.serve()

	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){d.refreshLoop, d.checkLoop, d.gossipLoop, d.dhtLoop, d.saveLoop} {
		loops.Go(func() { loop(ctx) })
	}
	<-ctx.Done()
	d.host.p2p.Network().StopNotify(parted)
	server.close()
	loops.Wait()
	if err := d.save(); err != nil {
		return fmt.Errorf("stop directory: %w", err)
	}
	return nil
}

// pause waits for d, a value on woken, or the end of ctx, whose absence it
// reports.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// refreshLoop joins through the configured addresses, then asks a few nodes
// for news each interval. While nobody answers it tries again soon.
func (d *Directory) refreshLoop(ctx context.Context) {
	pending := map[string]struct{}{} // join addresses that have yet to answer
	for _, addr := range d.c.Join {
		pending[addr] = struct{}{}
	}
	for fails := 0; ; {
		renewed, err := d.renewSelf()
		if err != nil {
			d.c.Logger.Error("own record not renewed", "err", err)
		}
		if renewed {
			wake(d.dhtWake)
		}
		if fails > 0 { // nobody we know answers: begin anew
			for _, addr := range d.c.Join {
				pending[addr] = struct{}{}
			}
		}
		next := jitter(d.c.Interval)
		if d.refresh(ctx, pending) {
			fails = 0
			wake(d.dhtWake)
		} else {
			fails++
			next = jitter(min(backoff(fails, d.c.RetryMin, maxJoinPause), d.c.Interval))
		}
		if !pause(ctx, next, d.refreshWake) {
			return
		}
	}
}

// refresh exchanges with the pending join addresses and a few known nodes, then
// with nodes learned that way. It reports whether somebody answered, or nobody
// was there to ask; addresses that answered leave pending.
func (d *Directory) refresh(ctx context.Context, pending map[string]struct{}) bool {
	var peers []peer.AddrInfo
	joins := map[peer.ID][]string{}
	for addr := range pending {
		info, err := parseJoin(addr) // checked by New
		if err == nil && info.ID != d.host.p2p.ID() {
			peers = append(peers, info)
			joins[info.ID] = append(joins[info.ID], addr)
		}
	}
	peers = append(peers, d.sample()...)
	answered, learned := d.exchangeAll(ctx, peers)
	for _, p := range answered {
		for _, addr := range joins[p] {
			delete(pending, addr)
		}
	}
	limit := greetings
	if d.c.Self != nil {
		limit = introductions
	}
	for rounds := 0; rounds < 3 && len(learned) > 0; rounds++ {
		rand.Shuffle(len(learned), func(i, j int) { learned[i], learned[j] = learned[j], learned[i] })
		_, learned = d.exchangeAll(ctx, d.infos(learned[:min(len(learned), limit)]))
	}
	return len(answered) > 0 || len(peers) == 0
}

// exchangeAll exchanges with peers at the same time; there are few.
func (d *Directory) exchangeAll(ctx context.Context, peers []peer.AddrInfo) (answered []peer.ID, learned []cairn.NodeID) {
	var mu sync.Mutex // guards the results
	var group sync.WaitGroup
	for _, p := range peers {
		group.Go(func() {
			got, err := d.exchange(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			learned = append(learned, got...)
			if err != nil {
				d.c.Logger.Debug("exchange failed", "peer", p.ID.String(), "err", err)
				return
			}
			answered = append(answered, p.ID)
		})
	}
	group.Wait()
	return answered, learned
}

// sample returns a few live nodes, or if none is alive, more of the others.
func (d *Directory) sample() []peer.AddrInfo {
	live, other := []cairn.NodeID{}, []cairn.NodeID{}
	for _, n := range d.Nodes() {
		switch {
		case n.NodeID == d.host.id:
		case n.Liveness == Alive:
			live = append(live, n.NodeID)
		default:
			other = append(other, n.NodeID)
		}
	}
	ids, count := live, sampled
	if len(live) == 0 {
		ids, count = other, introductions
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return d.infos(ids[:min(len(ids), count)])
}

func (d *Directory) infos(ids []cairn.NodeID) []peer.AddrInfo {
	out := make([]peer.AddrInfo, 0, len(ids))
	for _, id := range ids {
		if r, ok := d.Lookup(id); ok && id != d.host.id {
			out = append(out, addrInfo(r))
		}
	}
	return out
}

// gossipLoop passes news on to connected peers, so that they need not wait for
// their next exchange. Peers that know it already let it end with them.
func (d *Directory) gossipLoop(ctx context.Context) {
	for {
		var batch []news
		select {
		case n := <-d.gossip:
			batch = append(batch, n)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(batch) < maxPush; {
			select {
			case n := <-d.gossip:
				batch = append(batch, n)
			default:
				more = false
			}
		}
		peers := d.host.connectedPeers()
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		var group sync.WaitGroup
		for _, p := range peers[:min(len(peers), introductions)] {
			records := newsFor(p, batch)
			if len(records) == 0 {
				continue
			}
			group.Go(func() {
				if err := d.push(ctx, p, records); err != nil {
					d.c.Logger.Debug("gossip failed", "peer", p.String(), "err", err)
				}
			})
		}
		group.Wait()
	}
}

// newsFor leaves out what p told us itself.
func newsFor(p peer.ID, batch []news) (records [][]byte) {
	for _, n := range batch {
		if n.from != p {
			records = append(records, n.raw)
		}
	}
	return records
}

// dhtLoop publishes our record and asks the DHT for nodes nobody told us of. A
// DHT that does not answer costs nothing but the try.
func (d *Directory) dhtLoop(ctx context.Context) {
	if d.host.dht == nil {
		return
	}
	var published []byte // our record as the DHT has it
	publishedTo := 0     // size of the routing table then
	for fails := 0; ; {
		next := jitter(d.c.Interval)
		if size := d.host.dht.RoutingTable().Size(); size == 0 {
			fails++
			next = min(backoff(fails, d.c.RetryMin, maxJoinPause), next)
		} else {
			fails = 0
			raw := d.selfRaw()
			if raw != nil && (!slices.Equal(raw, published) || size >= 2*publishedTo) {
				if err := d.withTimeout(ctx, func(ctx context.Context) error { return d.host.publish(ctx, raw) }); err != nil {
					d.c.Logger.Debug("DHT not updated", "err", err)
				} else {
					published, publishedTo = raw, size
				}
			}
			if err := d.withTimeout(ctx, d.discover); err != nil {
				d.c.Logger.Debug("DHT not read", "err", err)
			}
		}
		if !pause(ctx, next, d.dhtWake) {
			return
		}
	}
}

func (d *Directory) withTimeout(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	return do(ctx)
}

// discover fetches from the DHT the records of nodes that are unknown here.
func (d *Directory) discover(ctx context.Context) error {
	ids, err := d.host.listNodes(ctx, maxListed)
	if err != nil {
		return err
	}
	var failed []error
	for _, id := range ids {
		if known, ok := d.Lookup(id); ok && d.c.Now().Before(known.Expires) {
			continue
		}
		raw, err := d.host.lookUp(ctx, id)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if _, err := d.offer(raw, ""); err != nil && !errors.Is(err, cairn.Exists) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// saveLoop writes the set after changes, gathering those of half a second.
func (d *Directory) saveLoop(ctx context.Context) {
	for {
		select {
		case <-d.saveWake:
		case <-ctx.Done():
			return // Run saves last
		}
		if !pause(ctx, savePause, nil) {
			return
		}
		if err := d.save(); err != nil {
			d.c.Logger.Error("node set not saved", "err", err)
		}
	}
}
