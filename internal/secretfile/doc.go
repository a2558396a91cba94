// Package secretfile keeps small files that only their owner may read: keys,
// the recovery phrase, S3 credentials.
//
// Read Create and Replace first. Both write mode 0600 into a directory of mode
// 0700 and return once the file and its name are on stable storage; after a
// crash a file is there whole or not at all. Create never overwrites: of two
// processes that create one file at once, one fails. Read refuses a file that
// others can read, because its content must count as known to them.
//
// What the files mean is left to the callers.
package secretfile
