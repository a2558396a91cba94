package form

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Policy is what the signer of a form allows. Verify the signature before
// ParsePolicy: it decodes.
type Policy struct {
	expires time.Time
	texts   []textCondition
	// MinSize and MaxSize bound the file.
	MinSize, MaxSize int64
}

// textCondition is about one field.
type textCondition struct {
	field  string // lower-case
	value  string
	prefix bool // the field starts with value, rather than equals it
}

func invalidPolicy(why string) error {
	return &Error{"InvalidPolicyDocument", "Invalid Policy: " + why}
}

func refused(why string) error {
	return &Error{"AccessDenied", "Invalid according to Policy: " + why}
}

// ParsePolicy reads a policy as it stands in the form, in base64.
func ParsePolicy(encoded string) (*Policy, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, invalidPolicy("it is not base64.")
	}
	var doc struct {
		Expiration string
		Conditions []any
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, invalidPolicy("Invalid JSON.")
	}
	p := &Policy{MaxSize: math.MaxInt64}
	if p.expires, err = time.Parse(time.RFC3339, doc.Expiration); err != nil {
		return nil, invalidPolicy("Invalid 'expiration' value.")
	}
	if doc.Conditions == nil {
		return nil, invalidPolicy("Policy missing conditions.")
	}
	for _, c := range doc.Conditions {
		if !p.add(c) {
			return nil, invalidPolicy("Invalid condition.")
		}
	}
	return p, nil
}

// add reads {"field": "value"}, ["eq" or "starts-with", "$field", "value"] or
// ["content-length-range", least, most].
func (p *Policy) add(c any) bool {
	switch c := c.(type) {
	case map[string]any:
		for name, v := range c {
			value, ok := v.(string)
			if !ok {
				return false
			}
			p.texts = append(p.texts, textCondition{field: strings.ToLower(name), value: value})
		}
		return len(c) > 0
	case []any:
		if len(c) != 3 {
			return false
		}
		operator, ok := c[0].(string)
		if strings.EqualFold(operator, "content-length-range") {
			return p.addRange(c[1], c[2])
		}
		name, named := c[1].(string)
		value, valued := c[2].(string)
		field, dollar := strings.CutPrefix(name, "$")
		isPrefix := strings.EqualFold(operator, "starts-with")
		if !ok || !named || !valued || !dollar || field == "" || !isPrefix && !strings.EqualFold(operator, "eq") {
			return false
		}
		p.texts = append(p.texts, textCondition{strings.ToLower(field), value, isPrefix})
		return true
	}
	return false
}

func (p *Policy) addRange(least, most any) bool {
	a, ok := size(least)
	b, ok2 := size(most)
	if !ok || !ok2 || a > b {
		return false
	}
	p.MinSize, p.MaxSize = max(p.MinSize, a), min(p.MaxSize, b)
	return true
}

func size(v any) (int64, bool) {
	switch v := v.(type) {
	case float64:
		return int64(v), v >= 0 && v <= 1<<53 && v == math.Trunc(v)
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil && n >= 0
	}
	return 0, false
}

// unconditional are fields that need no condition: what signs the policy, and
// the policy itself.
var unconditional = map[string]bool{"policy": true, "x-amz-signature": true}

// Check says whether the fields are what the policy allows at that time. Among
// fields are "bucket", as addressed, and "key", as it will be stored. Every
// field needs a condition, except those called x-ignore-….
func (p *Policy) Check(fields map[string]string, now time.Time) error {
	if !now.Before(p.expires) {
		return refused("Policy expired.")
	}
	covered := map[string]bool{}
	for _, c := range p.texts {
		have := fields[c.field]
		if c.prefix && !strings.HasPrefix(have, c.value) || !c.prefix && have != c.value {
			operator := "eq"
			if c.prefix {
				operator = "starts-with"
			}
			return refused(`Policy Condition failed: ["` + operator + `", "$` + c.field + `", "` + c.value + `"]`)
		}
		covered[c.field] = true
	}
	for name := range fields {
		if !covered[name] && !unconditional[name] && !strings.HasPrefix(name, "x-ignore-") {
			return refused("Extra input fields: " + name[:min(len(name), 64)])
		}
	}
	return nil
}

// CheckSize says whether the file's length is what the policy allows.
func (p *Policy) CheckSize(n int64) error {
	switch {
	case n < p.MinSize:
		return &Error{"EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"}
	case n > p.MaxSize:
		return &Error{"EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"}
	}
	return nil
}
