package policy

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"
)

const maxDepth = 8

// object is a JSON object in its order. Names are exact, and come once.
type object []member

type member struct {
	name  string
	value any // string, bool, json.Number, nil, []any or object
}

// parseJSON reads one object. encoding/json alone would take a member in any
// case, and the last of two.
func parseJSON(document []byte) (object, error) {
	if len(document) == 0 || document[0] != '{' || !utf8.Valid(document) {
		return nil, invalid("Policies must be valid JSON and the first byte must be '{'")
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // a Decoder returns it bare
		return nil, invalid("This policy contains invalid Json")
	}
	return v.(object), nil // it begins with "{"
}

func readValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil || depth > maxDepth {
		return nil, invalid("This policy contains invalid Json")
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, endValue(d)
	case json.Delim('{'):
		o := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, invalid("This policy contains invalid Json")
			}
			m := member{name: name.(string)} // a Decoder sees to it
			if _, twice := o.get(m.name); twice {
				return nil, invalid("The policy has the member %q twice", clip(m.name))
			}
			if m.value, err = readValue(d, depth+1); err != nil {
				return nil, err
			}
			o = append(o, m)
		}
		return o, endValue(d)
	}
	return token, nil
}

func endValue(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return invalid("This policy contains invalid Json")
	}
	return nil
}

func (o object) get(name string) (any, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// texts returns a text or a list of texts.
func texts(v any) ([]string, bool) {
	if s, ok := v.(string); ok {
		return []string{s}, true
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, false
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			return nil, false
		}
	}
	return out, true
}
