package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog/pebble/cryptfs"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// catalogFormat is the format of keys and values that this version writes and
// the newest it reads.
const catalogFormat = 1

// encryptedMark is an empty encrypted file whose presence says that all are.
const encryptedMark = "ENCRYPTED"

// KeySize is the length of Config.Key, in bytes.
const KeySize = cryptfs.KeySize

// Config says how to open a catalog. The zero value keeps it unencrypted.
type Config struct {
	// Key encrypts the contents of all files; KeySize bytes. Nil leaves them
	// plain. It is copied.
	Key []byte
	// FS is where the directory lies. Nil means the operating system's.
	FS vfs.FS
	// Log receives messages of the database. Nil discards them.
	Log *slog.Logger
	// CacheBytes is the size of the block cache. Zero means 32 MiB.
	CacheBytes int64
	// MemTableBytes is the size of a table of recent writes; up to four are in
	// memory. Zero means 8 MiB.
	MemTableBytes int
}

func (c Config) withDefaults() (Config, error) {
	if c.CacheBytes < 0 || c.MemTableBytes < 0 {
		return c, cairn.NewError("open catalog", cairn.Invalid, errors.New("a negative cache or table size"))
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	if c.MemTableBytes == 0 {
		c.MemTableBytes = 8 << 20
	}
	return c, nil
}

// Open opens the catalog in dir, or makes a new one. One process at a time can
// have it open; for the second this is an Unavailable error. A key other than
// the one the catalog was made with, or one too few or too many, is Denied.
func Open(dir string, cfg Config) (*Catalog, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := makeDir(cfg.FS, dir); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	lock, err := pebble.LockDirectory(dir, cfg.FS)
	if err != nil {
		return nil, lockError(dir, err)
	}
	c, err := openLocked(dir, cfg, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return c, nil
}

func openLocked(dir string, cfg Config, lock *pebble.Lock) (*Catalog, error) {
	fs, err := prepareFS(dir, cfg)
	if err != nil {
		return nil, err
	}
	cache := pebble.NewCache(cfg.CacheBytes)
	defer cache.Unref() // the database keeps a reference of its own
	db, err := pebble.Open(dir, options(cfg, fs, cache, lock))
	if err != nil {
		return nil, wrap("open catalog", err)
	}
	c := &Catalog{db: db, lock: lock, turn: make(chan struct{}, 1)}
	if err := c.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return c, nil
}

func options(cfg Config, fs vfs.FS, cache *pebble.Cache, lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		Cache:                       cache,
		Logger:                      logger{cfg.Log},
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                uint64(cfg.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		MaxOpenFiles:                256,
		BytesPerSync:                512 << 10,
		WALBytesPerSync:             256 << 10, // between synced commits, of a recovery
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].IndexBlockSize = 64 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	// The last level answers "not there" from its blocks: its filter would be
	// nine tenths of all filters.
	o.Levels[len(o.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	return o
}

// makeDir creates dir and its parents, each name durable.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// prepareFS returns the filesystem the database runs on, after checking that
// the key fits what is in dir.
func prepareFS(dir string, cfg Config) (vfs.FS, error) {
	const op = "open catalog"
	mark := cfg.FS.PathJoin(dir, encryptedMark)
	if cfg.Key == nil {
		info, err := cfg.FS.Stat(mark)
		switch {
		case errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0: // zero: interrupted
			return cfg.FS, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		return nil, cairn.NewError(op, cairn.Denied, errors.New("the catalog is encrypted and no key was given"))
	}
	fs, err := cryptfs.New(cfg.FS, cfg.Key)
	if err != nil {
		return nil, err
	}
	marked, err := fs.Check(mark)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if marked {
		return fs, nil
	}
	used, err := isUsed(cfg.FS, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if used {
		return nil, cairn.NewError(op, cairn.Denied, errors.New("the catalog is not encrypted, but a key was given")).
			WithHint("open it without a key, or recover into a new directory to encrypt it")
	}
	f, err := fs.Create(mark, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := errors.Join(f.Close(), syncDir(cfg.FS, dir)); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return fs, nil
}

// isUsed reports whether a database was made in dir.
func isUsed(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST-") {
			return true, nil
		}
	}
	return false, err
}

// load checks the format and reads the totals, or writes both to a new
// database.
func (c *Catalog) load() error {
	const op = "open catalog"
	mark, err := c.get(op, formatKey)
	if errors.Is(err, cairn.NotFound) {
		return c.create(op)
	}
	if err != nil {
		return err
	}
	format, err := decodeFormat(mark)
	if err != nil {
		return err
	}
	if format > catalogFormat {
		return cairn.Errorf(op, cairn.Invalid, "the catalog has format %d, this version reads up to %d", format, catalogFormat).
			WithHint("it was written by a newer version; use that one, or recover into a new directory")
	}
	raw, err := c.get(op, totalsKey)
	if err != nil {
		return err
	}
	now, err := decodeTotals(raw)
	if err != nil {
		return err
	}
	c.totals.Store(&now)
	return nil
}

func (c *Catalog) create(op string) error {
	it, err := c.db.NewIter(nil)
	if err != nil {
		return wrap(op, err)
	}
	isEmpty := !it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return wrap(op, err)
	}
	if !isEmpty {
		return cairn.NewError(op, cairn.Corrupt, errors.New("the catalog has no format mark"))
	}
	b := c.db.NewBatch()
	err = errors.Join(
		b.Set(formatKey, encodeFormat(catalogFormat), nil),
		b.Set(totalsKey, totals{}.encode(), nil),
		b.Commit(pebble.Sync),
		b.Close(),
	)
	c.totals.Store(&totals{})
	return wrap(op, err)
}

func lockError(dir string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return cairn.Errorf("open catalog", cairn.Denied, "lock %s: %w", dir, err).
			WithHint("the directory must belong to the user the gateway runs as")
	}
	return cairn.Errorf("open catalog", cairn.Unavailable, "lock %s: %w", dir, err).
		WithHint("another gateway uses this directory")
}

// wrap gives an error of the database a kind. Nil stays nil.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case cairn.KindOf(err) != cairn.Internal:
		return fmt.Errorf("%s: %w", op, err)
	case pebble.IsCorruptionError(err):
		return cairn.NewError(op, cairn.Corrupt, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// logger hands the database's messages to slog.
type logger struct{ log *slog.Logger }

var _ pebble.Logger = logger{}

func (l logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("catalog database", "message", fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("catalog database", "message", fmt.Sprintf(format, args...))
}

// Fatalf must not return. What the database calls fatal (a log it cannot
// write, a broken invariant) leaves nothing that could be answered truthfully,
// so the process ends; acknowledged commits are on the disk.
func (l logger) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	l.log.Error("catalog database failed", "message", message)
	panic("catalog database failed: " + message)
}
