package main

import (
	"context"
	"errors"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/internal/control"
)

// The methods of the control socket. A running gateway answers them; status,
// node ls, bucket ls and object inspect ask.
const (
	methodStatus  = "status"
	methodNodes   = "nodes"
	methodBuckets = "buckets"
	methodObject  = "object"
)

type nothing struct{}

type bucketView struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Region  string    `json:"region"`
}

type objectRequest struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version,omitempty"`
}

// objectView tells where an object lies.
type objectView struct {
	Bucket   string        `json:"bucket"`
	Key      string        `json:"key"`
	Version  string        `json:"version"`
	Marker   bool          `json:"delete_marker,omitempty"`
	Size     int64         `json:"size"`
	ETag     string        `json:"etag"`
	Modified time.Time     `json:"modified"`
	Class    string        `json:"storage_class"`
	Record   *placeView    `json:"record,omitempty"` // nil when it rides in the only segment
	Segments []segmentView `json:"segments"`
	Health   string        `json:"health"` // the worst of what was found
}

type segmentView struct {
	Part int `json:"part"`
	placeView
}

type placeView struct {
	Segment string      `json:"segment"`
	Kind    string      `json:"kind"`
	Scheme  string      `json:"scheme"`
	Bytes   int64       `json:"bytes"` // of the object
	Shards  []shardView `json:"shards"`
	Health  string      `json:"health"`
}

type shardView struct {
	Index int    `json:"index"`
	Node  string `json:"node"`
	State string `json:"state"`
}

// States of a shard, as its node answered just now. Whether the payload is
// what it was is seen only when it is read.
const (
	shardPresent     = "present"
	shardMissing     = "missing"
	shardCorrupt     = "corrupt"
	shardUnreachable = "unreachable"
	shardNowhere     = "nowhere" // was never placed
)

// Health of a segment.
const (
	healthWhole      = "whole"      // every shard is there
	healthDegraded   = "degraded"   // readable, but short of its promise
	healthUnreadable = "unreadable" // fewer than k shards answer
)

// register makes the gateway answer the socket's methods.
func (g *gatewayProcess) register(h *control.Handler) {
	control.Handle(h, methodStatus, func(ctx context.Context, _ nothing) (statusReply, error) { return g.status(ctx) })
	control.Handle(h, methodNodes, func(ctx context.Context, _ nothing) (peersReply, error) { return g.peers(ctx) })
	control.Handle(h, methodBuckets, g.buckets)
	control.Handle(h, methodObject, g.object)
}

func (g *gatewayProcess) buckets(ctx context.Context, _ nothing) ([]bucketView, error) {
	engine, err := g.running()
	if err != nil {
		return nil, err
	}
	out := []bucketView{}
	req := gateway.ListBucketsRequest{Max: 1000}
	for {
		page, err := engine.ListBuckets(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, b := range page.Buckets {
			out = append(out, bucketView{b.Name, b.Created, b.Region})
			req.After = b.Name
		}
		if !page.Truncated {
			return out, nil
		}
	}
}

// checkTimeout bounds the questions to nodes behind one inspection.
const checkTimeout = 10 * time.Second

func (g *gatewayProcess) object(ctx context.Context, r objectRequest) (objectView, error) {
	if _, err := g.running(); err != nil {
		return objectView{}, err
	}
	entry, err := g.version(ctx, r)
	if err != nil {
		return objectView{}, err
	}
	v := &entry.Version
	out := objectView{
		Bucket: r.Bucket, Key: r.Key, Version: v.ID.String(), Marker: v.Marker, Size: v.Size, ETag: v.ETag,
		Modified: v.LastModified(), Class: v.StorageClass, Segments: []segmentView{}, Health: healthWhole,
	}
	if out.Class == "" {
		out.Class = "STANDARD"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if len(entry.Record.Nodes) > 0 {
		record := g.place(ctx, &catalog.SegmentEntry{
			Location: entry.Record, Kind: cairn.KindVersion,
			Scheme: cairn.Scheme{Data: 1, Parity: len(entry.Record.Nodes) - 1},
		})
		out.Record, out.Health = &record, record.Health
	}
	for _, p := range v.Parts {
		for _, s := range p.Segments {
			entry, err := g.catalog.Segment(ctx, s.ID)
			if err != nil {
				return objectView{}, cairn.Errorf("look up segment "+s.ID.Short(), cairn.KindOf(err), "%w", err)
			}
			place := g.place(ctx, entry)
			out.Segments = append(out.Segments, segmentView{p.Number, place})
			out.Health = worse(out.Health, place.Health)
		}
	}
	return out, nil
}

func (g *gatewayProcess) version(ctx context.Context, r objectRequest) (*catalog.VersionEntry, error) {
	var entry *catalog.VersionEntry
	var err error
	if r.Version == "" {
		entry, err = g.catalog.Newest(ctx, r.Bucket, r.Key)
	} else {
		id, parseErr := cairn.ParseVersionID(r.Version)
		if parseErr != nil {
			return nil, parseErr
		}
		entry, err = g.catalog.Version(ctx, r.Bucket, r.Key, id)
	}
	if errors.Is(err, cairn.NotFound) {
		return nil, cairn.Errorf("inspect object", cairn.NotFound, "there is no s3://%s/%s", r.Bucket, r.Key)
	}
	return entry, err
}

// place asks every node of a segment or record for its shard.
func (g *gatewayProcess) place(ctx context.Context, s *catalog.SegmentEntry) placeView {
	out := placeView{
		Segment: s.Segment.String(), Kind: s.Kind.String(), Scheme: s.Scheme.String(), Bytes: s.PlainLen,
		Shards: make([]shardView, len(s.Nodes)),
	}
	done := make(chan struct{})
	for i, node := range s.Nodes {
		go func() {
			out.Shards[i] = g.shard(ctx, cairn.ShardID{Segment: s.Segment, Index: uint8(i)}, node)
			done <- struct{}{}
		}()
	}
	for range s.Nodes {
		<-done
	}
	present := 0
	for _, shard := range out.Shards {
		if shard.State == shardPresent {
			present++
		}
	}
	switch {
	case present == len(out.Shards):
		out.Health = healthWhole
	case present >= s.Scheme.Data:
		out.Health = healthDegraded
	default:
		out.Health = healthUnreadable
	}
	return out
}

func (g *gatewayProcess) shard(ctx context.Context, id cairn.ShardID, node cairn.NodeID) shardView {
	view := shardView{Index: int(id.Index), Node: node.String(), State: shardUnreachable}
	if node.IsZero() {
		view.Node, view.State = "", shardNowhere
		return view
	}
	n, err := g.cluster.Node(node)
	if err != nil {
		return view
	}
	tails, err := n.Tails(ctx, []cairn.ShardID{id})
	switch {
	case errors.Is(err, cairn.Corrupt):
		view.State = shardCorrupt
	case err != nil:
	case len(tails) == 0:
		view.State = shardMissing
	case tails[0].Verify() != nil || tails[0].Header.Shard != id:
		view.State = shardCorrupt
	default:
		view.State = shardPresent
	}
	return view
}

// worse returns the worse of two healths.
func worse(a, b string) string {
	for _, h := range []string{healthUnreadable, healthDegraded} {
		if a == h || b == h {
			return h
		}
	}
	return healthWhole
}
