package cli

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// Size is a flag value in bytes, written as "100GiB", "1.5TB" or "4096".
type Size int64

// units are suffixes and their factors. GB is 10^9 and GiB is 2^30, as disks
// and programs mean them.
var units = []struct {
	suffix string
	factor int64
}{
	{"PIB", 1 << 50}, {"TIB", 1 << 40}, {"GIB", 1 << 30}, {"MIB", 1 << 20}, {"KIB", 1 << 10},
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
	{"P", 1 << 50}, {"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10},
	{"B", 1}, {"", 1},
}

// ParseSize reads a size. Fractions are allowed and rounded down to bytes.
func ParseSize(s string) (Size, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		number = strings.TrimSpace(number)
		if number == "" || strings.Trim(number, "0123456789.") != "" || len(number) > 24 {
			break
		}
		r, ok := new(big.Rat).SetString(number)
		if !ok {
			break
		}
		r.Mul(r, new(big.Rat).SetInt64(u.factor))
		whole := new(big.Int).Quo(r.Num(), r.Denom())
		if !whole.IsInt64() {
			return 0, fmt.Errorf("%q is more than %d bytes", s, int64(math.MaxInt64))
		}
		return Size(whole.Int64()), nil
	}
	return 0, fmt.Errorf("%q is not a size such as 100GiB, 1.5TB or 4096", s)
}

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
	v, err := ParseSize(text)
	if err == nil {
		*s = v
	}
	return err
}

// Type implements pflag.Value.
func (*Size) Type() string { return "size" }

// String returns the size exactly where a binary unit divides it, so that Set
// reads back what String wrote.
func (s Size) String() string {
	for _, u := range units[:5] {
		if s != 0 && int64(s)%u.factor == 0 {
			return fmt.Sprintf("%d%sB", int64(s)/u.factor, u.suffix[:1]+"i")
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// Bytes returns n rounded for people, in binary units.
func Bytes(n int64) string {
	const step = 1024
	if n > -step && n < step {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/step, 0
	for math.Abs(v) >= step-0.05 && unit < 5 {
		v /= step
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}
