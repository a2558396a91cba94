package placement

import "github.com/cairn-store/cairn"

const (
	// DefaultMaxData is the most data shards a scheme gets where the caller
	// sets no limit.
	DefaultMaxData = 8
	// homeLosses is the number of losses from which a network is taken for
	// one of homes, where nodes vanish often and together: as many parity
	// shards as data shards from there on (8+8, 10+10, 16+16).
	homeLosses = 8
)

// ChooseScheme returns the numbers of data and parity shards that keep the
// promise "any losses nodes may vanish" on domains living failure domains:
//
//	losses 2:   3 domains 1+2 (copies; tell the operator), 4: 2+2, 5: 3+2,
//	            6: 4+2, more: one data shard more each, up to maxData
//	losses ≥ 8: the same, but no more data than parity shards: 8+8, 10+10, 16+16
//
// maxData 0 means DefaultMaxData. Fewer than losses+1 domains is an
// Unavailable error: the promise cannot be kept now. Requires losses >= 0.
func ChooseScheme(domains, losses, maxData int) (data, parity int, err error) {
	const op = "choose scheme"
	if maxData == 0 {
		maxData = max(DefaultMaxData, losses) // the ladder may climb beyond the default
	}
	if losses < 0 || maxData < 1 || losses+1 > cairn.MaxShards {
		return 0, 0, cairn.Errorf(op, cairn.Invalid,
			"%d losses and at most %d data shards: want 0 to %d losses and at least 1 data shard", losses, maxData, cairn.MaxShards-1)
	}
	if domains < losses+1 {
		return 0, 0, cairn.Errorf(op, cairn.Unavailable,
			"%d failure domains are alive and have room, %d losses need at least %d", max(domains, 0), losses, losses+1).
			WithHint("start more nodes, bring back those that are down, or promise fewer losses")
	}
	if losses >= homeLosses {
		maxData = min(maxData, losses)
	}
	return min(domains-losses, maxData, cairn.MaxShards-losses), losses, nil
}

// SmallScheme is ChooseScheme for objects of a few frames, which are kept as
// one record per node: 2+losses where that many domains live, so that no node
// holds a whole object, else copies.
func SmallScheme(domains, losses int) (data, parity int, err error) {
	return ChooseScheme(domains, losses, 2)
}
