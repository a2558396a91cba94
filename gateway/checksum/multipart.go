package checksum

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/cairn-store/cairn"
)

// PartAlgorithm returns the algorithm that the parts of an upload are summed
// with, given what was asked for when the upload was created.
func PartAlgorithm(algorithm string) string {
	if algorithm == "" {
		return Default
	}
	return algorithm
}

// FullObject reports whether an upload's checksum covers the whole object
// rather than the parts' checksums. What was asked for decides, but CRC64NVME
// has no other shape.
func FullObject(algorithm string, asked bool) bool {
	return asked || PartAlgorithm(algorithm) == CRC64NVME
}

// Find returns the value of the checksum of that algorithm, "" if there is none.
func Find(sums []cairn.Checksum, algorithm string) string {
	for _, c := range sums {
		if c.Algorithm == algorithm {
			return c.Value
		}
	}
	return ""
}

// Multipart returns the checksum of an object made of parts, each of which
// carries a checksum of PartAlgorithm(algorithm). fullObject is what was asked
// for when the upload was created. A part without that checksum, or an algorithm
// that cannot be combined, is a cairn.Invalid error.
func Multipart(algorithm string, fullObject bool, parts []cairn.Part) (cairn.Checksum, error) {
	const op = "combine checksums"
	algorithm = PartAlgorithm(algorithm)
	fullObject = FullObject(algorithm, fullObject)
	if !Known(algorithm) || len(parts) == 0 || fullObject && !Combines(algorithm) {
		return cairn.Checksum{}, cairn.Errorf(op, cairn.Invalid, "%q over %d parts", algorithm, len(parts))
	}
	composite := New(algorithm)
	var whole []byte
	for i := range parts {
		sum, ok := Decode(algorithm, Find(parts[i].Checksums, algorithm))
		if !ok {
			return cairn.Checksum{}, cairn.Errorf(op, cairn.Invalid, "part %d has no %s", parts[i].Number, algorithm)
		}
		composite.Write(sum)
		switch {
		case !fullObject:
		case whole == nil:
			whole = sum
		default:
			whole, _ = Combine(algorithm, whole, sum, parts[i].Size)
		}
	}
	if fullObject {
		return cairn.Checksum{Algorithm: algorithm, Value: Encode(whole)}, nil
	}
	return cairn.Checksum{
		Algorithm: algorithm,
		Value:     Encode(composite.Sum(nil)) + "-" + strconv.Itoa(len(parts)),
		Composite: true,
	}, nil
}

// MultipartETag returns the ETag of an object made of parts: the MD5 of their
// MD5s, a hyphen, and their number.
func MultipartETag(parts []cairn.Part) (string, error) {
	h := md5.New()
	for i := range parts {
		sum, err := hex.DecodeString(parts[i].ETag)
		if err != nil || len(sum) != md5.Size {
			return "", cairn.NewError("compute ETag", cairn.Invalid,
				fmt.Errorf("part %d has ETag %q, want the hexadecimal MD5", parts[i].Number, parts[i].ETag))
		}
		h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}

// OfParts returns the checksums of an object made of parts. Of an upload for
// which an algorithm was asked, every part has that checksum. Of one for which
// none was, the parts may carry whatever they came with: when all came with the
// same, the object has it too, over the whole object if it can be combined;
// otherwise the object has none.
func OfParts(algorithm string, fullObject bool, parts []cairn.Part) ([]cairn.Checksum, error) {
	if algorithm == "" {
		for _, candidate := range Algorithms() {
			if sum, err := Multipart(candidate, Combines(candidate), parts); err == nil {
				return []cairn.Checksum{sum}, nil
			}
		}
		return nil, nil
	}
	sum, err := Multipart(algorithm, fullObject, parts)
	if err != nil {
		return nil, err
	}
	return []cairn.Checksum{sum}, nil
}

// Claims reports whether a claimed checksum of an object agrees with one that
// was computed. The number of parts may be left out of a composite one.
func Claims(claim string, sum cairn.Checksum) bool {
	if claim == sum.Value {
		return true
	}
	value, _, _ := strings.Cut(sum.Value, "-")
	return sum.Composite && claim == value
}
