package shardstore_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/internal/durable"
	"github.com/cairn-store/cairn/storagenode/shardstore/storetest"
)

func TestExportGivesEveryRecordAsItWasSent(t *testing.T) {
	s := openMem(t, durable.NewMemFS())
	want := map[cairn.ShardID][]byte{}
	for i := range uint64(6) {
		r := owner.Record(i, int(i)*30_000, 100)
		if err := put(s, r); err != nil {
			t.Fatal(err)
		}
		want[r.ID()] = r.Bytes()
		small := owner.Record(100+i, 500, 10)
		if err := putSmall(s, small); err != nil {
			t.Fatal(err)
		}
		want[small.ID()] = small.Bytes()
	}
	gone := owner.Record(50, 1000, 10)
	if err := put(s, gone); err != nil {
		t.Fatal(err)
	}
	deleteAll(t, s, []storetest.Record{gone}...)

	err := s.Export(context.Background(), func(id cairn.ShardID, r *io.SectionReader) error {
		b, err := io.ReadAll(r)
		if !bytes.Equal(b, want[id]) {
			t.Errorf("record %v differs from what was sent, or was not", id)
		}
		delete(want, id)
		return err
	})
	if err != nil || len(want) > 0 {
		t.Errorf("Export = %v, and %d records are missing", err, len(want))
	}
}
