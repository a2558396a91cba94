package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// Keys are the condition keys, lower-case, that Request.Values may hold.
var Keys = []string{
	KeySourceIP, KeySecureTransport, "aws:referer", "aws:useragent",
	"s3:authtype", "s3:delimiter", "s3:max-keys", "s3:prefix", "s3:signatureversion", "s3:versionid",
	"s3:x-amz-acl", "s3:x-amz-content-sha256", "s3:x-amz-copy-source", "s3:x-amz-metadata-directive",
	"s3:x-amz-server-side-encryption", "s3:x-amz-storage-class",
}

// Keys with values of their own kind: an address, and "true" or "false".
const (
	KeySourceIP        = "aws:sourceip"
	KeySecureTransport = "aws:securetransport"
)

// condition is one key of one operator.
type condition struct {
	test     string // operator without Not and IfExists
	negated  bool   // none of the values fits, and an absent key will do
	ifExists bool   // an absent key will do
	key      string
	values   []string
	networks []netip.Prefix // values of IpAddress
}

// operators maps each to its test and whether it is negated.
var operators = map[string]struct {
	test    string
	negated bool
}{
	"StringEquals":              {"StringEquals", false},
	"StringNotEquals":           {"StringEquals", true},
	"StringEqualsIgnoreCase":    {"StringEqualsIgnoreCase", false},
	"StringNotEqualsIgnoreCase": {"StringEqualsIgnoreCase", true},
	"StringLike":                {"StringLike", false},
	"StringNotLike":             {"StringLike", true},
	"IpAddress":                 {"IpAddress", false},
	"NotIpAddress":              {"IpAddress", true},
	"Bool":                      {"Bool", false},
	"Null":                      {"Null", false},
}

// parseConditions reads {operator: {key: value or values}}.
func parseConditions(v any) ([]condition, error) {
	block, ok := v.(object)
	if !ok {
		return nil, invalid("A Condition is not an object")
	}
	var all []condition
	for _, m := range block {
		name, ifExists := strings.CutSuffix(m.name, "IfExists")
		op, known := operators[name]
		if !known || ifExists && name == "Null" {
			return nil, invalid("Invalid Condition type : %s", clip(m.name))
		}
		keys, ok := m.value.(object)
		if !ok || len(keys) == 0 {
			return nil, invalid("The Condition %s is not an object", m.name)
		}
		for _, k := range keys {
			c := condition{test: op.test, negated: op.negated, ifExists: ifExists, key: strings.ToLower(k.name)}
			if !slices.Contains(Keys, c.key) {
				return nil, invalid("Policy has an invalid condition key: %q", clip(k.name))
			}
			if err := c.setValues(k.value); err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func (c *condition) setValues(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, v := range list {
		var text string
		switch v := v.(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		case bool:
			text = map[bool]string{true: "true", false: "false"}[v]
		default:
			return invalid("A condition on %s has a value that is no text", c.key)
		}
		if variable(text) {
			return invalid("A condition on %s has a policy variable, which are not supported", c.key)
		}
		c.values = append(c.values, text)
	}
	if len(c.values) == 0 {
		return invalid("A condition on %s has no value", c.key)
	}
	return c.checkKind()
}

// checkKind sees to it that operator, key and values go together.
func (c *condition) checkKind() error {
	bad := invalid("Condition keys and operators do not go together, or a value is invalid: %s", c.key)
	if c.test == "Bool" || c.test == "Null" {
		for i, v := range c.values {
			c.values[i] = strings.ToLower(v)
			if c.values[i] != "true" && c.values[i] != "false" {
				return bad
			}
		}
	}
	switch {
	case c.test == "Null":
		return nil
	case (c.test == "IpAddress") != (c.key == KeySourceIP) || (c.test == "Bool") != (c.key == KeySecureTransport):
		return bad
	case c.test != "IpAddress":
		return nil
	}
	for _, v := range c.values {
		network, err := parseNetwork(v)
		if err != nil {
			return bad
		}
		c.networks = append(c.networks, network)
	}
	return nil
}

// parseNetwork reads an address or a network.
func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return a.Unmap().Prefix(a.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() { // would never contain an address of ours
		return netip.Prefix{}, invalid("write the network as IPv4")
	}
	return p.Masked(), err
}

// holds reports whether the request's values are as the condition wants.
func (c *condition) holds(values map[string]string) bool {
	have, present := values[c.key]
	if c.test == "Null" {
		want := "true"
		if present {
			want = "false"
		}
		return slices.Contains(c.values, want)
	}
	if !present {
		return c.negated || c.ifExists
	}
	return c.fits(have) != c.negated
}

func (c *condition) fits(have string) bool {
	switch c.test {
	case "StringEqualsIgnoreCase":
		return slices.ContainsFunc(c.values, func(v string) bool { return strings.EqualFold(v, have) })
	case "StringLike":
		return slices.ContainsFunc(c.values, func(v string) bool { return like(v, have) })
	case "IpAddress":
		a, err := netip.ParseAddr(have)
		return err == nil && slices.ContainsFunc(c.networks, func(n netip.Prefix) bool { return n.Contains(a.Unmap().WithZone("")) })
	}
	return slices.Contains(c.values, have) // StringEquals, Bool
}

// narrow reports whether the condition lets only some places in: then what it
// guards is not public. The bounds are those of AWS.
func (c *condition) narrow() bool {
	if c.test != "IpAddress" || c.negated || c.ifExists {
		return false
	}
	return !slices.ContainsFunc(c.networks, func(n netip.Prefix) bool {
		return n.Addr().Is4() && n.Bits() < 8 || n.Addr().Is6() && n.Bits() < 32
	})
}
