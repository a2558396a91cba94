package conformance

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
	"github.com/cairn-store/cairn/gateway/catalog/memory"
)

// The small world random batches play in: small enough that they meet.
var (
	randomBuckets = []string{"b", "b.b", "c"}
	randomKeys    = []string{"\x00", "a", "a\x00", "a\x00\xff", "a\x01", "a/b", "b", "\xff"}
	randomUploads = []string{"u", "u\x00", "v"}
	randomScope   = Scope{Buckets: randomBuckets, Uploads: randomUploads}
)

// testTwin commits the same random batches to c and to the obvious twin, and
// compares every answer and, again and again, everything.
func testTwin(t *testing.T, c catalog.Catalog) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	twin := memory.New()
	steps := 3000
	if testing.Short() {
		steps = 1000
	}
	outcomes := map[string]int{}
	for i := range steps {
		b := randomBatch(rng)
		b.NoSync = rng.IntN(20) != 0
		got, want := outcome(c.Commit(t.Context(), b)), outcome(twin.Commit(t.Context(), b))
		outcomes[want]++
		if got != want {
			t.Fatalf("seed %d, step %d: Commit(%+v) = %s, the twin says %s", seed, i, b, got, want)
		}
		if i%50 != 0 && i != steps-1 {
			continue
		}
		if got, want := dumpText(t, c), dumpText(t, twin); got != want {
			t.Fatalf("seed %d, step %d: catalogs differ\n got:\n%s\nwant:\n%s", seed, i, got, want)
		}
		for _, bucket := range randomBuckets {
			for _, key := range randomKeys {
				got, gotErr := c.Newest(t.Context(), bucket, key)
				want, wantErr := twin.Newest(t.Context(), bucket, key)
				wantEqual(t, "outcome of Newest", outcome(gotErr), outcome(wantErr))
				wantEqual(t, "Newest", got, want)
			}
		}
	}
	for _, kind := range []string{"ok", "condition", cairn.NotFound.String(), cairn.Invalid.String()} {
		if outcomes[kind] < steps/100 {
			t.Errorf("only %d of %d batches ended with %q; the test tests too little", outcomes[kind], steps, kind)
		}
	}
}

func outcome(err error) string {
	var failed *catalog.ConditionError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &failed):
		return "condition"
	}
	return cairn.KindOf(err).String()
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func randomVersionKey(rng *rand.Rand) catalog.VersionKey {
	return catalog.VersionKey{Bucket: pick(rng, randomBuckets), Key: pick(rng, randomKeys), ID: versionID(1 + rng.IntN(6))}
}

func randomUploadKey(rng *rand.Rand) catalog.UploadKey {
	return catalog.UploadKey{Bucket: pick(rng, randomBuckets), Key: pick(rng, randomKeys[:3]), ID: pick(rng, randomUploads)}
}

func randomBatch(rng *rand.Rand) *catalog.Batch {
	b := &catalog.Batch{Refs: map[cairn.SegmentID]int{}}
	for rng.IntN(3) == 0 {
		b.If = append(b.If, randomCondition(rng))
	}
	for range 1 + rng.IntN(4) {
		randomChange(rng, b)
	}
	return b
}

func randomCondition(rng *rand.Rand) catalog.Condition {
	switch v := randomVersionKey(rng); rng.IntN(8) {
	case 0:
		return catalog.Condition{BucketExists: v.Bucket}
	case 1:
		return catalog.Condition{BucketAbsent: v.Bucket}
	case 2:
		return catalog.Condition{BucketEmpty: v.Bucket}
	case 3:
		if rng.IntN(2) == 0 {
			v.ID = cairn.VersionID{}
		}
		return catalog.Condition{Newest: &v}
	case 4:
		return catalog.Condition{HasVersion: &v}
	case 5:
		u := randomUploadKey(rng)
		return catalog.Condition{OpenUpload: &u}
	case 6:
		return catalog.Condition{PartIs: &catalog.PartCondition{UploadID: pick(rng, randomUploads), Number: 1 + rng.IntN(3), Object: objectID(rng.IntN(4))}}
	default:
		return catalog.Condition{Segment: new(segmentID(1 + rng.IntN(8)))}
	}
}

func randomChange(rng *rand.Rand, b *catalog.Batch) {
	v, u, s := randomVersionKey(rng), randomUploadKey(rng), 1+rng.IntN(8)
	switch rng.IntN(14) {
	case 0:
		e := bucket(v.Bucket)
		e.Bucket.Deleted = rng.IntN(2) == 0
		b.PutBuckets = append(b.PutBuckets, e)
	case 1:
		b.PutSegments = append(b.PutSegments, segment(s, rng.IntN(3)))
	case 2:
		b.Refs[segmentID(s)] = rng.IntN(4) - 2
	case 3:
		b.MoveShards = append(b.MoveShards, catalog.ShardMove{Shard: cairn.ShardID{Segment: segmentID(s), Index: uint8(rng.IntN(4))}, To: nodeID(rng.IntN(9))})
	case 4, 5:
		e := version(v.Bucket, v.Key, 1+rng.IntN(6))
		e.Version.Size = rng.Int64N(1000)
		b.PutVersions = append(b.PutVersions, e)
	case 6:
		b.DropVersions = append(b.DropVersions, v)
	case 7:
		e := upload(u.Bucket, u.Key, u.ID)
		if rng.IntN(3) == 0 {
			e.Completed, e.CompletedAt = v.ID, rng.Int64N(5)
		}
		b.PutUploads = append(b.PutUploads, e)
	case 8:
		b.DropUploads = append(b.DropUploads, u)
	case 9:
		e := partEntry(1 + rng.IntN(3))
		e.Part.Object = objectID(rng.IntN(4))
		b.PutParts = append(b.PutParts, catalog.PartPut{UploadID: u.ID, Entry: e})
	case 10:
		b.PutIntents = append(b.PutIntents, &catalog.Intent{ID: v.ID, Bucket: v.Bucket, Key: v.Key, Started: rng.Int64N(100)})
	case 11:
		b.DropIntents = append(b.DropIntents, v.ID)
	case 12:
		b.AddGarbage = append(b.AddGarbage, catalog.Location{Segment: segmentID(s), Nodes: nodes(s, 0)})
	case 13:
		id := uint64(rng.IntN(300))
		b.PutGarbage = append(b.PutGarbage, &catalog.Garbage{ID: id, Place: catalog.Location{Segment: segmentID(s)}})
		b.DropGarbage = append(b.DropGarbage, id+1)
	}
}
