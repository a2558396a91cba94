// Package durable writes to disk so that what was promised survives a crash:
// the few file operations a store needs, the discipline of syncing files and
// the directories that name them, and a filesystem in memory that forgets
// whatever nobody synced.
//
// Read FS first. OS is the machine's filesystem; MemFS is for tests: its Crash
// returns what a power cut would leave, with unsynced bytes gone, kept or torn
// at every 512 bytes, and unsynced names gone.
//
// The rules it serves:
//
//   - Bytes are durable after File.Datasync or Sync returned nil, and not before.
//   - A new, renamed or removed name is durable after FS.SyncDir of its directory.
//   - A sync that failed once is never retried: the kernel may have dropped the
//     dirty pages and call the next sync a success. Treat the file as lost.
//
// Everything is safe for concurrent use, except that two writers of one range
// must not overlap.
package durable
