package gateway

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's ETag is an MD5; nothing rests on its strength
	"encoding/hex"
	"hash"
	"io"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/checksum"
)

// digester computes what S3 keeps of a body: its MD5 and one additional
// checksum.
type digester struct {
	want      Digests
	md5       hash.Hash
	algorithm string
	sum       hash.Hash
	all       io.Writer
}

// newDigester returns a digester for the digests asked for; without any, it
// computes CRC64NVME as S3 does.
func newDigester(want Digests) (*digester, error) {
	d := &digester{want: want, md5: md5.New(), algorithm: want.Algorithm}
	if d.algorithm == "" {
		d.algorithm = checksum.CRC64NVME
	}
	if d.sum = checksum.New(d.algorithm); d.sum == nil {
		return nil, cairn.Errorf("compute checksum", cairn.Invalid, "%q is not a checksum algorithm", d.algorithm)
	}
	d.all = io.MultiWriter(d.md5, d.sum)
	return d, nil
}

func (d *digester) Write(p []byte) (int, error) { return d.all.Write(p) }

// finish checks that src has ended and that what was written is what the
// client claims, and returns the ETag and the checksum.
func (d *digester) finish(src io.Reader) (etag string, sum cairn.Checksum, err error) {
	// Reading the end is what makes a signed body check its last signature.
	var one [1]byte
	switch n, err := io.ReadFull(src, one[:]); {
	case n > 0:
		return "", sum, ErrIncompleteBody
	case err != io.EOF:
		return "", sum, err
	}
	got := d.md5.Sum(nil)
	if d.want.MD5 != nil && !bytes.Equal(got, d.want.MD5) {
		return "", sum, ErrBadDigest
	}
	sum = cairn.Checksum{Algorithm: d.algorithm, Value: checksum.Encode(d.sum.Sum(nil))}
	if d.want.Expected != nil {
		claim, err := d.want.Expected()
		if err != nil {
			return "", sum, err
		}
		if claim != "" && claim != sum.Value {
			return "", sum, &ChecksumError{Algorithm: d.algorithm}
		}
	}
	return hex.EncodeToString(got), sum, nil
}
