package s3api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

const tokenMAC = 16 // bytes

// token packs where a listing continues. It is bound to what is listed, so a
// client can neither make one up nor use it elsewhere.
func (h *Handler) token(listing string, fields ...string) string {
	text := strings.Join(fields, "\x00")
	return base64.RawURLEncoding.EncodeToString(append(h.tokenMAC(listing, text), text...))
}

// openToken returns the fields of a token made for the same listing.
func (h *Handler) openToken(listing, token string, fields int) ([]string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < tokenMAC {
		return nil, false
	}
	text := string(raw[tokenMAC:])
	if !hmac.Equal(raw[:tokenMAC], h.tokenMAC(listing, text)) {
		return nil, false
	}
	got := strings.Split(text, "\x00")
	return got, len(got) == fields
}

func (h *Handler) tokenMAC(listing, text string) []byte {
	m := hmac.New(sha256.New, h.cfg.TokenKey)
	m.Write([]byte("cairn continuation token\x00" + listing + "\x00\x00" + text))
	return m.Sum(nil)[:tokenMAC]
}
