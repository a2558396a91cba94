package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	mh "github.com/multiformats/go-multihash"

	"github.com/cairn-store/cairn"
)

const (
	dhtNamespace = "cairn"
	// maxDHTRecords bounds the records, and the list of nodes, that a host
	// keeps for the DHT.
	maxDHTRecords = 20_000
	// providerLife is how long a node stays in the DHT's list of nodes without
	// saying again that it is there.
	providerLife = 24 * time.Hour
)

// newDHT joins the network's private DHT, whose keys and peers have nothing to
// do with any public one.
func newDHT(p2p host.Host, cfg HostConfig) (*dht.IpfsDHT, error) {
	list, err := rendezvousKey(cfg.Network)
	if err != nil {
		return nil, err
	}
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	mode := dht.ModeClient
	if cfg.Serve {
		mode = dht.ModeServer
	}
	return dht.New(context.Background(), p2p, // ended by Close
		dht.Mode(mode),
		dht.ProtocolPrefix(protocol.ID("/cairn/"+cfg.Network)),
		dht.Validator(record.NamespacedValidator{dhtNamespace: Validator{Network: cfg.Network, Now: now}}),
		dht.Datastore(newBoundedStore(maxDHTRecords)),
		dht.ProviderStore(&nodeList{key: string(list.Hash()), book: p2p.Peerstore(), now: now, seen: map[peer.ID]time.Time{}}),
		dht.MaxRecordAge(MaxLifetime),
	)
}

// rendezvousKey is what all nodes of a network say they provide.
func rendezvousKey(network string) (cid.Cid, error) {
	sum, err := mh.Sum([]byte("cairn nodes of network\x00"+network), mh.SHA2_256, -1)
	if err != nil {
		return cid.Undef, fmt.Errorf("hash network name: %w", err)
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}

func dhtKey(id cairn.NodeID) string { return "/" + dhtNamespace + "/" + id.String() }

// Validator decides what may stand in the DHT: records that verify now, under
// the key of the node they speak of, the newest winning. It implements the
// validator interface of go-libp2p-record.
type Validator struct {
	Network string
	Now     func() time.Time
}

// Validate returns an error for a record that is forged, expired, of another
// network or under another node's key.
func (v Validator) Validate(key string, value []byte) error {
	r, err := Verify(value, v.Network, v.Now())
	if err != nil {
		return err
	}
	if key != dhtKey(r.NodeID) {
		return cairn.Errorf("verify DHT record", cairn.Denied, "record of %s under the key of another node", r.NodeID.Short())
	}
	return nil
}

// Select returns the index of the record with the highest sequence number; of
// equals, the first.
func (v Validator) Select(key string, values [][]byte) (int, error) {
	best, seq := -1, uint64(0)
	for i, value := range values {
		if v.Validate(key, value) != nil {
			continue
		}
		r, err := Open(value, v.Network)
		if err == nil && (best < 0 || r.Seq > seq) {
			best, seq = i, r.Seq
		}
	}
	if best < 0 {
		return 0, cairn.NewError("select DHT record", cairn.NotFound, errors.New("none of the records is valid"))
	}
	return best, nil
}

// publish puts a record into the DHT and the node onto the list of nodes.
func (h *Host) publish(ctx context.Context, raw []byte) error {
	list, err := rendezvousKey(h.network)
	if err != nil {
		return err
	}
	if err := h.dht.PutValue(ctx, dhtKey(h.id), raw); err != nil {
		return fmt.Errorf("put node record into DHT: %w", err)
	}
	if err := h.dht.Provide(ctx, list, true); err != nil {
		return fmt.Errorf("enter node into DHT list: %w", err)
	}
	return nil
}

// lookUp asks the DHT for one node's record. Verify what it returns.
func (h *Host) lookUp(ctx context.Context, id cairn.NodeID) ([]byte, error) {
	raw, err := h.dht.GetValue(ctx, dhtKey(id))
	if err != nil {
		return nil, fmt.Errorf("get record of %s from DHT: %w", id.Short(), err)
	}
	return raw, nil
}

// listNodes asks the DHT who is on the network, for as long as ctx lasts.
func (h *Host) listNodes(ctx context.Context, limit int) ([]cairn.NodeID, error) {
	list, err := rendezvousKey(h.network)
	if err != nil {
		return nil, err
	}
	var out []cairn.NodeID
	for info := range h.dht.FindProvidersAsync(ctx, list, limit) {
		if id, err := NodeIDOf(info.ID); err == nil && id != h.id {
			out = append(out, id)
		}
	}
	return out, nil
}

// nodeList is the DHT's provider store, cut down to the one list a network
// has: strangers cannot make a node remember anything else.
type nodeList struct {
	key  string // multihash of the rendezvous key
	book peerstore.Peerstore
	now  func() time.Time

	mu   sync.Mutex // guards seen
	seen map[peer.ID]time.Time
}

// AddProvider implements records.ProviderStore.
func (l *nodeList) AddProvider(_ context.Context, key []byte, node peer.AddrInfo) error {
	if string(key) != l.key {
		return cairn.NewError("add DHT provider", cairn.Denied, errors.New("not the list of this network's nodes"))
	}
	if _, err := NodeIDOf(node.ID); err != nil {
		return err
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.seen[node.ID]; !known && len(l.seen) >= maxDHTRecords {
		for id, at := range l.seen {
			if now.Sub(at) > providerLife {
				delete(l.seen, id)
			}
		}
		if len(l.seen) >= maxDHTRecords {
			return cairn.NewError("add DHT provider", cairn.Full, errors.New("the list of nodes is full"))
		}
	}
	l.seen[node.ID] = now
	if len(node.Addrs) > 0 {
		l.book.AddAddrs(node.ID, node.Addrs, providerLife)
	}
	return nil
}

// GetProviders implements records.ProviderStore.
func (l *nodeList) GetProviders(_ context.Context, key []byte) ([]peer.AddrInfo, error) {
	if string(key) != l.key {
		return nil, nil
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]peer.AddrInfo, 0, min(len(l.seen), maxListed))
	for id, at := range l.seen { // map order: a different sample each time
		if len(out) == maxListed {
			break
		}
		if now.Sub(at) <= providerLife {
			out = append(out, l.book.PeerInfo(id))
		}
	}
	return out, nil
}

// maxListed bounds the nodes named in one answer of the DHT.
const maxListed = 256

// Close implements records.ProviderStore.
func (l *nodeList) Close() error { return nil }

// boundedStore is an in-memory datastore that refuses new keys when full.
type boundedStore struct {
	ds.Batching
	limit int

	mu   sync.Mutex // guards keys, and keeps them in step with the store
	keys map[ds.Key]struct{}
}

func newBoundedStore(limit int) *boundedStore {
	return &boundedStore{Batching: dssync.MutexWrap(ds.NewMapDatastore()), limit: limit, keys: map[ds.Key]struct{}{}}
}

// Put implements ds.Write.
func (s *boundedStore) Put(ctx context.Context, key ds.Key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.keys[key]; !known && len(s.keys) >= s.limit {
		return cairn.NewError("put DHT record", cairn.Full, errors.New("this host keeps no more records"))
	}
	s.keys[key] = struct{}{}
	return s.Batching.Put(ctx, key, value)
}

// Delete implements ds.Write.
func (s *boundedStore) Delete(ctx context.Context, key ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
	return s.Batching.Delete(ctx, key)
}
