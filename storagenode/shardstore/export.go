package shardstore

import (
	"context"
	"io"

	"github.com/cairn-store/cairn"
)

// Export calls fn with every record kept here, in order of id, whole and as it
// is on disk; nothing is checked. fn must be done with r when it returns. A
// record deleted meanwhile may be left out. An error of fn ends the export.
func (s *Store) Export(ctx context.Context, fn func(id cairn.ShardID, r *io.SectionReader) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return s.ix.scan([]byte{keyShard}, []byte{keyShard}, func(key, _ []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if len(key) != 1+idSize {
			return false, cairn.Errorf("export shards", cairn.Corrupt, "index key of %d bytes", len(key))
		}
		id := parseID(key[1:])
		e, ok, err := s.ix.get(id)
		if err != nil || !ok {
			return err == nil, err
		}
		err = s.withRecord(e.owner, id, func(l *logFile, e entry) error {
			return fn(id, io.NewSectionReader(l.file, e.off+frameSize, e.recordLen()))
		})
		if cairn.KindOf(err) == cairn.NotFound { // deleted since the scan began
			err = nil
		}
		return err == nil, err
	})
}
