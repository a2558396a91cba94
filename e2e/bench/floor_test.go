package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/sha256"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/reedsolomon"
	"github.com/minio/crc64nvme"
	"github.com/zeebo/blake3"

	"github.com/cairn-store/cairn"
)

// floor is what the primitives of one request of one size cost alone, on one
// thread, in CPU milliseconds.
type floor struct {
	Size   string             `json:"size"`
	Bytes  int                `json:"bytes"`
	Scheme string             `json:"scheme"`
	Put    map[string]float64 `json:"put_ms"`
	Get    map[string]float64 `json:"get_ms"`
}

const signatures = "Ed25519"

// sum adds the primitives up, with or without signatures.
func (f floor) sum(op string, signed bool) (total float64) {
	of := f.Put
	if op == opGet {
		of = f.Get
	}
	for name, ms := range of {
		if signed || name != signatures {
			total += ms
		}
	}
	return total
}

// smallest object that is striped over all six nodes; smaller ones are kept at
// two and two.
const striped = 128<<10 + 1

// measureFloors measures the primitives for each size of the plan.
func measureFloors(t *testing.T, plan []cell) (out []floor) {
	t.Helper()
	seen := map[int]bool{}
	for _, c := range plan {
		if !seen[c.size] {
			seen[c.size] = true
			out = append(out, measureFloor(t, c))
		}
	}
	return out
}

func measureFloor(t *testing.T, c cell) floor {
	t.Helper()
	scheme := cairn.Scheme{Data: 4, Parity: 2, BlockSize: cairn.DefaultBlockSize}
	if c.size < striped {
		scheme.Data = 2
	}
	layout, err := cairn.NewLayout(scheme, int64(min(c.size, cairn.MaxSegmentPlain)))
	must(t, err)
	p := newPrimitives(t, layout, c.size)
	f := floor{Size: c.name, Bytes: c.size, Scheme: scheme.String(), Put: map[string]float64{}, Get: map[string]float64{}}
	f.Put["MD5"] = timed(t, func() { md5.Sum(p.body) })
	f.Put["SHA-256"] = timed(t, func() { sha256.Sum256(p.body) })
	f.Put["CRC64NVME"] = timed(t, func() { crc64nvme.Checksum(p.body) })
	f.Put["AES-256-GCM"] = timed(t, p.seal)
	f.Put["AES-256-CTR"] = timed(t, p.mask)
	f.Put["Reed-Solomon"] = timed(t, func() { must(t, p.code()) })
	f.Put["BLAKE3 x2"] = 2 * timed(t, p.hash)
	f.Put[signatures] = timed(t, p.sign)
	f.Get["AES-256-GCM"] = timed(t, func() { must(t, p.open()) })
	return f
}

// timed returns the CPU milliseconds that one call of f takes.
func timed(t *testing.T, f func()) float64 {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f()
	begin := cpuOf(t, syscall.RUSAGE_THREAD)
	for n := 1; ; n++ {
		f()
		if used := cpuOf(t, syscall.RUSAGE_THREAD) - begin; used > 40*time.Millisecond {
			return millis(used) / float64(n)
		}
	}
}

// primitives are one object's bytes and shards, and what is done to them.
type primitives struct {
	body    []byte
	frames  [][]byte // each with room for its tag
	shards  [][]byte
	data    int
	rs      reedsolomon.Encoder
	gcm     cipher.AEAD
	block   cipher.Block
	sealed  [][]byte
	plain   []byte
	private ed25519.PrivateKey
}

func newPrimitives(t *testing.T, l cairn.Layout, size int) *primitives {
	t.Helper()
	p := &primitives{body: randomBody(size), data: l.Scheme.Data, private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	var err error
	p.block, err = aes.NewCipher(make([]byte, 32))
	must(t, err)
	p.gcm, err = cipher.NewGCM(p.block)
	must(t, err)
	p.rs, err = reedsolomon.New(l.Scheme.Data, l.Scheme.Parity, reedsolomon.WithMaxGoroutines(1))
	must(t, err)
	for range l.Scheme.Shards() {
		p.shards = append(p.shards, randomBody(int(l.ShardLen())))
	}
	frame := l.Stripe(0).FrameSize
	for _, shard := range p.shards[:p.data] {
		for off := 0; off < len(shard); off += frame {
			p.frames = append(p.frames, shard[off:min(off+frame, len(shard))])
		}
	}
	for _, f := range p.frames {
		n := len(f) - p.gcm.Overhead()
		p.sealed = append(p.sealed, p.gcm.Seal(nil, make([]byte, 12), f[:n], nil))
	}
	p.plain = make([]byte, 0, frame)
	return p
}

func (p *primitives) seal() {
	var nonce [12]byte
	for _, f := range p.frames {
		p.gcm.Seal(f[:0], nonce[:], f[:len(f)-p.gcm.Overhead()], nil)
	}
}

func (p *primitives) open() error {
	var nonce [12]byte
	for _, s := range p.sealed {
		if _, err := p.gcm.Open(p.plain, nonce[:], s, nil); err != nil {
			return err
		}
	}
	return nil
}

// mask encrypts the parity shards.
func (p *primitives) mask() {
	var iv [aes.BlockSize]byte
	for _, s := range p.shards[p.data:] {
		cipher.NewCTR(p.block, iv[:]).XORKeyStream(s, s)
	}
}

// code computes parity, a block of each shard at a time.
func (p *primitives) code() error {
	blocks := make([][]byte, len(p.shards))
	for off := 0; off < len(p.shards[0]); off += cairn.DefaultBlockSize {
		for i, s := range p.shards {
			blocks[i] = s[off:min(off+cairn.DefaultBlockSize, len(s))]
		}
		if err := p.rs.Encode(blocks); err != nil {
			return err
		}
	}
	return nil
}

// hash hashes every shard, as each end does.
func (p *primitives) hash() {
	for _, s := range p.shards {
		blake3.Sum256(s)
	}
}

// sign makes and checks each shard's authorisation and receipt.
func (p *primitives) sign() {
	var message [160]byte
	public := p.private.Public().(ed25519.PublicKey)
	for range 2 * len(p.shards) {
		if !ed25519.Verify(public, message[:], ed25519.Sign(p.private, message[:])) {
			panic("a signature that does not verify")
		}
	}
}
