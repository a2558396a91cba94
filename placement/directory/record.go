package directory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cairn-store/cairn"
)

// Limits of a record; docs/formats/node-record.md has the byte table.
const (
	// MaxRecordSize bounds a signed record, in bytes.
	MaxRecordSize = 4 << 10
	// MaxLifetime bounds the time from a record's issue to its expiry.
	MaxLifetime = 7 * 24 * time.Hour
	// MaxClockSkew is how far in the future a record may have been issued.
	MaxClockSkew = 10 * time.Minute

	recordMagic   = "CAIRNNOD"
	recordFormat  = 1
	signedAt      = len(recordMagic) + 1 + len(cairn.NodeID{}) // the signature's offset
	bodyAt        = signedAt + ed25519.SignatureSize
	signingPrefix = "cairn node record v1\x00"

	maxAddresses   = 16
	maxAddressSize = 256
	maxNameSize    = 128
)

// Record is what a node says of itself.
type Record struct {
	NodeID  cairn.NodeID
	Network string // the network the record is for
	// Seq orders the records of a node; the higher one is believed.
	Seq      uint64
	IssuedAt time.Time // to the millisecond
	Expires  time.Time // to the millisecond

	Multiaddrs []string // libp2p addresses, without /p2p; at most 16
	DataAddrs  []string // host:port for direct TLS; at most 16

	FailureDomain string // empty: the node is a domain of its own
	Operator      string
	Region        string

	CapacityBytes int64
	FreeBytes     int64

	// Prices in the smallest unit of the network's currency. Nil: not said;
	// zero: nothing is charged.
	StoragePricePerGiBMonth *uint64
	EgressPricePerGiB       *uint64
	IngressPricePerGiB      *uint64

	Software string // name and version of the program
	Draining bool   // the node is leaving and takes nothing new

	unknown []field // of later versions, in ascending order
}

// Tags of the body's fields. A number is never used again for another meaning.
const (
	tagNetwork      = 1
	tagSeq          = 2
	tagIssuedAt     = 3 // milliseconds since the Unix epoch
	tagExpires      = 4 // milliseconds since the Unix epoch
	tagMultiaddr    = 5 // repeated
	tagDataAddr     = 6 // repeated
	tagDomain       = 7
	tagOperator     = 8
	tagRegion       = 9
	tagCapacity     = 10
	tagFree         = 11
	tagStoragePrice = 12 // zero is written
	tagEgressPrice  = 13 // zero is written
	tagIngressPrice = 14 // zero is written
	tagSoftware     = 15
	tagDraining     = 16
)

// Sign returns the signed encoding of r, whose NodeID becomes that of key.
// A record that [Open] would refuse is an Invalid error.
func (r Record) Sign(key ed25519.PrivateKey) ([]byte, error) {
	const op = "sign node record"
	if len(key) != ed25519.PrivateKeySize {
		return nil, cairn.NewError(op, cairn.Invalid, errors.New("not an Ed25519 private key"))
	}
	r.NodeID = cairn.NodeID(key.Public().(ed25519.PublicKey))
	if err := r.check(); err != nil {
		return nil, cairn.NewError(op, cairn.Invalid, err)
	}
	raw := append([]byte(recordMagic), recordFormat)
	raw = append(raw, r.NodeID[:]...)
	body := r.body()
	raw = append(raw, ed25519.Sign(key, signedMessage(raw, body))...)
	raw = append(raw, body...)
	if len(raw) > MaxRecordSize {
		return nil, cairn.Errorf(op, cairn.Invalid, "%d bytes, at most %d are allowed", len(raw), MaxRecordSize)
	}
	return raw, nil
}

func signedMessage(head, body []byte) []byte {
	msg := make([]byte, 0, len(signingPrefix)+len(head)+len(body))
	return append(append(append(msg, signingPrefix...), head...), body...)
}

// Open verifies the signature of raw, then decodes it and checks that it is
// for network. It does not look at the clock: a record kept on disk is opened
// long after it expired. Anything wrong is a Corrupt error, another network
// Invalid.
func Open(raw []byte, network string) (Record, error) {
	const op = "open node record"
	if len(raw) < bodyAt || len(raw) > MaxRecordSize {
		return Record{}, cairn.Errorf(op, cairn.Corrupt, "%d bytes, want %d to %d", len(raw), bodyAt, MaxRecordSize)
	}
	if string(raw[:len(recordMagic)]) != recordMagic || raw[len(recordMagic)] != recordFormat {
		return Record{}, cairn.Errorf(op, cairn.Corrupt, "not a node record of format %d", recordFormat)
	}
	id := cairn.NodeID(raw[len(recordMagic)+1 : signedAt])
	body := raw[bodyAt:]
	if !ed25519.Verify(id[:], signedMessage(raw[:signedAt], body), raw[signedAt:bodyAt]) {
		return Record{}, cairn.NewError(op, cairn.Corrupt, errors.New("signature does not match"))
	}
	r := Record{NodeID: id}
	if err := r.decode(body); err != nil {
		return Record{}, cairn.NewError(op, cairn.Corrupt, err)
	}
	if err := r.check(); err != nil {
		return Record{}, cairn.NewError(op, cairn.Corrupt, err)
	}
	if r.Network != network {
		return Record{}, cairn.Errorf(op, cairn.Invalid, "record is for network %q, this is %q", r.Network, network)
	}
	return r, nil
}

// Verify is [Open] followed by a look at the clock: a record that is not valid
// now is a Denied error.
func Verify(raw []byte, network string, now time.Time) (Record, error) {
	r, err := Open(raw, network)
	if err != nil {
		return Record{}, err
	}
	if err := r.ValidAt(now); err != nil {
		return Record{}, err
	}
	return r, nil
}

// ValidAt returns a Denied error if the record has expired at now, or was
// issued later than clocks may differ.
func (r Record) ValidAt(now time.Time) error {
	const op = "verify node record"
	if !now.Before(r.Expires) {
		return cairn.Errorf(op, cairn.Denied, "record of %s expired at %s", r.NodeID.Short(), r.Expires.Format(time.RFC3339))
	}
	if r.IssuedAt.After(now.Add(MaxClockSkew)) {
		return cairn.Errorf(op, cairn.Denied, "record of %s was issued in the future, at %s", r.NodeID.Short(), r.IssuedAt.Format(time.RFC3339))
	}
	return nil
}

func (r Record) body() []byte {
	w := fieldWriter{unknown: r.unknown}
	w.text(tagNetwork, r.Network)
	w.number(tagSeq, r.Seq)
	w.number(tagIssuedAt, uint64(r.IssuedAt.UnixMilli()))
	w.number(tagExpires, uint64(r.Expires.UnixMilli()))
	w.list(tagMultiaddr, r.Multiaddrs)
	w.list(tagDataAddr, r.DataAddrs)
	w.text(tagDomain, r.FailureDomain)
	w.text(tagOperator, r.Operator)
	w.text(tagRegion, r.Region)
	w.number(tagCapacity, uint64(r.CapacityBytes))
	w.number(tagFree, uint64(r.FreeBytes))
	w.optional(tagStoragePrice, r.StoragePricePerGiBMonth)
	w.optional(tagEgressPrice, r.EgressPricePerGiB)
	w.optional(tagIngressPrice, r.IngressPricePerGiB)
	w.text(tagSoftware, r.Software)
	if r.Draining {
		w.number(tagDraining, 1)
	}
	return w.finish()
}

// decode reads the body; every field but the addresses stands at most once.
func (r *Record) decode(body []byte) error {
	var last uint64
	for len(body) > 0 {
		tag, v, rest, err := splitField(body)
		if err != nil {
			return err
		}
		repeatable := tag == tagMultiaddr || tag == tagDataAddr || tag > tagDraining
		if tag < last || (tag == last && !repeatable) {
			return fmt.Errorf("field %d out of order", tag)
		}
		if err := r.decodeField(tag, v); err != nil {
			return fmt.Errorf("field %d: %w", tag, err)
		}
		last, body = tag, rest
	}
	return nil
}

func (r *Record) decodeField(tag uint64, v []byte) (err error) {
	text := func(dst *string) error {
		if len(v) == 0 {
			return errMalformed // an empty value is left out
		}
		*dst = string(v)
		return nil
	}
	number := func(limit uint64) (u uint64) {
		if u, err = wholeNumber(v); err == nil && (u == 0 || u > limit) {
			err = errMalformed // a zero is left out
		}
		return u
	}
	optional := func() *uint64 {
		var u uint64
		u, err = wholeNumber(v)
		return &u
	}
	switch tag {
	case tagNetwork:
		return text(&r.Network)
	case tagSeq:
		r.Seq = number(math.MaxUint64)
	case tagIssuedAt:
		r.IssuedAt = time.UnixMilli(int64(number(maxMillis))).UTC()
	case tagExpires:
		r.Expires = time.UnixMilli(int64(number(maxMillis))).UTC()
	case tagMultiaddr:
		r.Multiaddrs = append(r.Multiaddrs, string(v))
	case tagDataAddr:
		r.DataAddrs = append(r.DataAddrs, string(v))
	case tagDomain:
		return text(&r.FailureDomain)
	case tagOperator:
		return text(&r.Operator)
	case tagRegion:
		return text(&r.Region)
	case tagCapacity:
		r.CapacityBytes = int64(number(math.MaxInt64))
	case tagFree:
		r.FreeBytes = int64(number(math.MaxInt64))
	case tagStoragePrice:
		r.StoragePricePerGiBMonth = optional()
	case tagEgressPrice:
		r.EgressPricePerGiB = optional()
	case tagIngressPrice:
		r.IngressPricePerGiB = optional()
	case tagSoftware:
		return text(&r.Software)
	case tagDraining:
		r.Draining = number(1) == 1
	default:
		r.unknown = append(r.unknown, field{tag, string(v)})
	}
	return err
}

// maxMillis is in the year 9999; times beyond it cannot be printed.
const maxMillis = 253_402_300_799_000

// check enforces the limits on content, when signing and when opening.
func (r Record) check() error {
	issued, expires := r.IssuedAt.UnixMilli(), r.Expires.UnixMilli()
	switch {
	case r.Seq == 0:
		return errors.New("record has no sequence number")
	case issued <= 0 || expires <= issued || expires > maxMillis:
		return errors.New("record does not live from one moment to a later one")
	case expires-issued > MaxLifetime.Milliseconds():
		return fmt.Errorf("record lives longer than %v", MaxLifetime)
	case len(r.Multiaddrs) > maxAddresses || len(r.DataAddrs) > maxAddresses:
		return fmt.Errorf("record has more than %d addresses of a kind", maxAddresses)
	case r.CapacityBytes < 0 || r.FreeBytes < 0:
		return errors.New("record has a negative size")
	}
	if err := CheckNetwork(r.Network); err != nil {
		return err
	}
	for _, name := range []string{r.FailureDomain, r.Operator, r.Region, r.Software} {
		if err := checkText(name, maxNameSize); err != nil {
			return err
		}
	}
	for _, list := range [][]string{r.Multiaddrs, r.DataAddrs} {
		for _, addr := range list {
			if err := checkText(addr, maxAddressSize); err != nil || addr == "" {
				return fmt.Errorf("address %q is empty or not plain text of up to %d bytes", addr, maxAddressSize)
			}
		}
	}
	return nil
}
