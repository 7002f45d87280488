package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const (
	keySize   = 32
	nonceSize = 32
	tagSize   = 16
)

var sealedValue = regexp.MustCompile(`^ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:([a-z]+)\]$`)

var (
	errNotSealed = errors.New("not encrypted, though it should be")
	errSealed    = errors.New("damaged, or moved here from elsewhere")
)

// box encrypts the values of one document.
type box struct {
	gcm cipher.AEAD
	// nonces remembers those of opened values: what did not change keeps its ciphertext.
	nonces map[string][][]byte
}

func newBox(key []byte) (*box, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, nonceSize)
	return &box{gcm: gcm, nonces: map[string][][]byte{}}, err
}

// open decrypts one value. Its errors hold nothing of it.
func (b *box) open(sealed, context string) (any, error) {
	if sealed == "" {
		return "", nil // as sops leaves an empty text
	}
	m := sealedValue.FindStringSubmatch(sealed)
	if m == nil {
		return nil, errNotSealed
	}
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return nil, errSealed
		}
	}
	data, nonce, tag := parts[0], parts[1], parts[2]
	if len(nonce) != nonceSize || len(tag) != tagSize {
		return nil, errSealed
	}
	plain, err := b.gcm.Open(nil, nonce, append(data, tag...), []byte(context))
	if err != nil {
		return nil, errSealed
	}
	memo := memoKey(context, m[4], plain)
	b.nonces[memo] = append(b.nonces[memo], nonce)
	return typed(m[4], plain)
}

func memoKey(context, kind string, plain []byte) string {
	return context + "\x00" + kind + "\x00" + string(plain)
}

func typed(kind string, plain []byte) (v any, err error) {
	text := string(plain)
	switch kind {
	case "str":
		return text, nil
	case "bytes":
		return plain, nil
	case "comment":
		return comment{text: text}, nil
	case "int":
		v, err = strconv.Atoi(text)
	case "float":
		v, err = strconv.ParseFloat(text, 64)
	case "bool":
		v, err = strconv.ParseBool(text)
	case "time":
		var t time.Time
		err = t.UnmarshalText(plain)
		v = t
	default:
		return nil, errors.New("of a type that is not known")
	}
	if err != nil {
		return nil, fmt.Errorf("not of its type, %s", kind)
	}
	return v, nil
}

// seal encrypts one value.
func (b *box) seal(v any, context string) (string, error) {
	kind, plain, err := untyped(v)
	if err != nil || len(plain) == 0 {
		return "", err
	}
	var nonce []byte
	memo := memoKey(context, kind, plain)
	if old := b.nonces[memo]; len(old) > 0 {
		nonce, b.nonces[memo] = old[0], old[1:]
	} else {
		nonce = make([]byte, nonceSize)
		rand.Read(nonce)
	}
	out := b.gcm.Seal(nil, nonce, plain, []byte(context))
	data, tag := out[:len(out)-tagSize], out[len(out)-tagSize:]
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]", text(data), text(nonce), text(tag), kind), nil
}

// untyped returns a scalar as sops encrypts it, which is also what the MAC is made of.
func untyped(v any) (kind string, plain []byte, err error) {
	switch v := v.(type) {
	case string:
		return "str", []byte(v), nil
	case []byte:
		return "bytes", v, nil
	case comment:
		return "comment", []byte(v.text), nil
	case int:
		return "int", strconv.AppendInt(nil, int64(v), 10), nil
	case float64:
		return "float", strconv.AppendFloat(nil, v, 'f', -1, 64), nil
	case bool:
		if v {
			return "bool", []byte("True"), nil
		}
		return "bool", []byte("False"), nil
	case time.Time:
		plain, err = v.MarshalText()
		return "time", plain, err
	}
	return "", nil, fmt.Errorf("a value of a type that is not known: %T", v)
}
