package pebble

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/catalog"
)

// Every key begins with the letter of its table.
const (
	tableMeta      = 'M' // "M" + name
	tableBucket    = 'b' // "b" + bucket name
	tableCounts    = 'c' // "c" + bucket name
	tableCompleted = 'd' // "d" + text(bucket) + text(key) + upload id
	tableEnded     = 'e' // "e" + time of completion, 8 bytes + key in tableCompleted
	tableGarbage   = 'g' // "g" + id, 8 bytes
	tableIntent    = 'i' // "i" + version id
	tablePart      = 'p' // "p" + text(upload id) + number, 2 bytes
	tableSegment   = 's' // "s" + segment id
	tableUpload    = 'u' // "u" + text(bucket) + text(key) + upload id
	tableVersion   = 'v' // "v" + text(bucket) + text(key) + inverted version id
)

var (
	formatKey = []byte("Mformat")
	totalsKey = []byte("Mtotals")
)

// Text that something follows is written with NUL as 00 FF and ends in 00 01.
// No text is a prefix of another, and their order is that of the strings,
// whatever bytes they hold: where one string ends, 00 01 stands against either
// 00 FF or a byte from 01 up that another string goes on with.
const (
	textEscape = 0xff
	textEnd    = 0x01
)

func appendEscaped(dst []byte, s string) []byte {
	for {
		i := bytes.IndexByte([]byte(s), 0)
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i+1]...)
		dst = append(dst, textEscape)
		s = s[i+1:]
	}
}

func appendText(dst []byte, s string) []byte {
	return append(appendEscaped(dst, s), 0, textEnd)
}

// cutText splits a text off the front of b.
func cutText(b []byte) (s string, rest []byte, ok bool) {
	var text []byte
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 || i+1 >= len(b) {
			return "", nil, false
		}
		switch b[i+1] {
		case textEnd:
			return string(append(text, b[:i]...)), b[i+2:], true
		case textEscape:
			text = append(text, b[:i+1]...)
			b = b[i+2:]
		default:
			return "", nil, false
		}
	}
}

// endOf returns the smallest key behind every key with the prefix.
// Requires a byte other than FF in it; tables begin with one.
func endOf(prefix []byte) []byte {
	n := len(prefix)
	for prefix[n-1] == 0xff {
		n--
	}
	end := slices.Clone(prefix[:n])
	end[n-1]++
	return end
}

func tableKey(table byte, rest string) []byte {
	return append([]byte{table}, rest...)
}

func bucketPrefix(table byte, bucket string) []byte {
	return appendText([]byte{table}, bucket)
}

// versionPrefix is what the keys of all versions of an object begin with.
func versionPrefix(bucket, key string) []byte {
	b := make([]byte, 0, 5+len(bucket)+len(key)+len(cairn.VersionID{}))
	return appendText(appendText(append(b, tableVersion), bucket), key)
}

// versionKey puts the newest version first: ids are inverted.
func versionKey(k catalog.VersionKey) []byte {
	return appendInverted(versionPrefix(k.Bucket, k.Key), k.ID)
}

func appendInverted(dst []byte, id cairn.VersionID) []byte {
	for _, b := range id {
		dst = append(dst, ^b)
	}
	return dst
}

// versionOf returns the version id at the end of a version's key.
// Requires len(key) >= 16.
func versionOf(key []byte) cairn.VersionID {
	id := cairn.VersionID(key[len(key)-len(cairn.VersionID{}):])
	for i := range id {
		id[i] = ^id[i]
	}
	return id
}

func segmentKey(id cairn.SegmentID) []byte { return append([]byte{tableSegment}, id[:]...) }

func intentKey(id cairn.VersionID) []byte { return append([]byte{tableIntent}, id[:]...) }

func garbageKey(id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableGarbage}, id)
}

func garbageID(key []byte) (uint64, error) {
	if len(key) != 9 {
		return 0, cairn.NewError("decode garbage", cairn.Corrupt, errMalformed)
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

// uploadKey is a key of tableUpload or tableCompleted.
func uploadKey(table byte, k catalog.UploadKey) []byte {
	return append(appendText(bucketPrefix(table, k.Bucket), k.Key), k.ID...)
}

// endedKey orders completed uploads by time; the sign is inverted, so that
// times before 1970 stand first.
func endedKey(at int64, k catalog.UploadKey) []byte {
	return append(endedPrefix(at), uploadKey(tableCompleted, k)...)
}

func endedPrefix(at int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableEnded}, uint64(at)^1<<63)
}

func partPrefix(uploadID string) []byte { return appendText([]byte{tablePart}, uploadID) }

// partKey requires 0 <= number < 1<<16.
func partKey(uploadID string, number int) []byte {
	return binary.BigEndian.AppendUint16(partPrefix(uploadID), uint16(number))
}
