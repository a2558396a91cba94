package conformance

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Opener opens an empty catalog. The suite closes it.
type Opener func(t *testing.T) catalog.Catalog

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c catalog.Catalog)
	}{
		{"BucketsAreListedInByteOrder", testBuckets},
		{"BucketsVanishWhenDeleted", testBucketDeletion},
		{"EmptyBucketIsOneWithoutVersions", testBucketEmpty},
		{"VersionsComeBackWhole", testVersionRoundTrip},
		{"NewestIsTheLargestVersionID", testNewest},
		{"KeysAreInByteOrder", testKeyOrder},
		{"IteratorSeesTheMomentItWasMade", testIteratorSnapshot},
		{"NextKeySkipsAllVersions", testNextKey},
		{"IteratorStaysInItsBucket", testIteratorBounds},
		{"SegmentsComeBackWhole", testSegmentRoundTrip},
		{"SegmentsResumeAfterAnID", testSegmentsResume},
		{"SegmentAtZeroBecomesGarbage", testRefs},
		{"UnknownSegmentsLoseReferences", testRefsOfNothing},
		{"ShardsMove", testMoveShards},
		{"UploadsAreListedByKeyThenID", testUploads},
		{"CompletedUploadsAreListedByTime", testCompletedUploads},
		{"DroppedUploadTakesItsParts", testUploadParts},
		{"IntentsAreKept", testIntents},
		{"FloorOnlyRises", testFloor},
		{"GarbageIsOldestFirst", testGarbage},
		{"FailedConditionChangesNothing", testConditions},
		{"FailedChangeChangesNothing", testFailedChange},
		{"NegativeNumbersAreRefused", testUnstorable},
		{"ValuesBelongToTheirOwner", testOwnership},
		{"StatsAreExact", testStats},
		{"CancelledContextIsAnAnswer", testContext},
		{"ClosedCatalogIsUnavailable", testClosed},
		{"RandomBatchesMatchTheTwin", testTwin},
		{"OneOfManyWinsTheKey", testOneWinner},
		{"CompareAndSetIsLinearizable", testLinearizable},
		{"BucketDeletionAndPutsExclude", testDeleteBucketRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t)
			test.run(t, c)
			if err := c.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
		})
	}
}

// commit applies a batch that must succeed.
func commit(t *testing.T, c catalog.Catalog, b *catalog.Batch) {
	t.Helper()
	if err := c.Commit(t.Context(), b); err != nil {
		t.Fatalf("Commit(%+v) = %v, want nil", b, err)
	}
}

// refused applies a batch whose condition must not hold.
func refused(t *testing.T, c catalog.Catalog, cond catalog.Condition) {
	t.Helper()
	err := c.Commit(t.Context(), &catalog.Batch{
		If:         []catalog.Condition{cond},
		PutBuckets: []*catalog.BucketEntry{bucket("must-not-appear")},
	})
	var failed *catalog.ConditionError
	if !errors.As(err, &failed) || !reflect.DeepEqual(failed.Condition, cond) {
		t.Errorf("Commit with condition %+v = %v, want a ConditionError that names it", cond, err)
	}
	_, err = c.Bucket(t.Context(), "must-not-appear")
	wantKind(t, "Bucket after a refused commit", err, cairn.NotFound)
}

// allowed applies an empty batch whose condition must hold.
func allowed(t *testing.T, c catalog.Catalog, cond catalog.Condition) {
	t.Helper()
	if err := c.Commit(t.Context(), &catalog.Batch{If: []catalog.Condition{cond}}); err != nil {
		t.Errorf("Commit with condition %+v = %v, want nil", cond, err)
	}
}

func wantKind(t *testing.T, what string, err error, kind cairn.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want kind %v", what, err, kind)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// must unwraps a value that has to be there.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("got error %v, want none", err)
		}
		return v
	}
}

// keysOf walks a bucket and returns the key of every version.
func keysOf(ctx context.Context, t *testing.T, c catalog.Catalog, bucket string) []string {
	t.Helper()
	it := must(c.Versions(ctx, bucket))(t)
	defer closeIterator(t, it)
	var keys []string
	for ok := it.Seek(""); ok; ok = it.Next() {
		keys = append(keys, it.Key())
	}
	if err := it.Err(); err != nil {
		t.Fatalf("Err() = %v, want nil", err)
	}
	return keys
}

func closeIterator(t *testing.T, it catalog.VersionIterator) {
	t.Helper()
	if err := it.Close(); err != nil {
		t.Errorf("iterator Close() = %v, want nil", err)
	}
}
