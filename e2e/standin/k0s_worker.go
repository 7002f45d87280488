package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/e2e/standin/documented"
)

// k0sTokens is the folder of when tokens end, by what is public of each. The real ones are in the cluster.
const k0sTokens = k0sData + "/standin/tokens"

// bootstrapToken is a token until it ends.
type bootstrapToken struct {
	Secret string    `json:"secret"`
	Role   string    `json:"role"`
	Ends   time.Time `json:"ends"`
}

// joinToken is what a join token carries: a kubeconfig.
type joinToken struct {
	Clusters []namedCluster `json:"clusters"`
	Users    []namedUser    `json:"users"`
}

type namedCluster struct {
	Name    string `json:"name"`
	Cluster struct {
		Server string `json:"server"`
		CA     []byte `json:"certificate-authority-data"`
	} `json:"cluster"`
}

type namedUser struct {
	Name string `json:"name"`
	User struct {
		Token string `json:"token"`
	} `json:"user"`
}

// k0sUsers are the users in tokens, by the role of who joins.
var k0sUsers = map[string]string{"worker": "kubelet-bootstrap", "controller": "controller-bootstrap"}

// createToken prints what a host joins with, for as long as it was asked for.
func (k k0s) createToken(ctx context.Context, cmd documented.Command) error {
	if !running(ctx, filepath.Base(k0sUnits["controller"])) {
		return errors.New("k0s: is the controller running?")
	}
	config, err := os.ReadFile("/etc/k0s/k0s.yaml")
	if err != nil {
		return err
	}
	s, err := k.table.YAML("key", config)
	if err != nil {
		return err
	}
	life, err := time.ParseDuration(cmd.Flags["--expiry"])
	if err != nil {
		return err
	}
	words := strings.ToLower(rand.Text())
	id, secret := words[:6], words[6:22]
	role := cmd.Flags["--role"]
	kept, err := json.Marshal(bootstrapToken{Secret: secret, Role: role, Ends: time.Now().Add(life)})
	if err != nil {
		return err
	}
	if err := errors.Join(folders(k0sTokens), durable.WriteFile(filepath.Join(k0sTokens, id), kept, 0o600)); err != nil {
		return err
	}
	cluster, user, port := namedCluster{Name: "k0s"}, namedUser{Name: k0sUsers[role]}, s.First("spec.api.port")
	if role == "controller" {
		port = k0sJoins
	}
	cluster.Cluster.Server = "https://" + net.JoinHostPort(s.First("spec.api.address"), port)
	if cluster.Cluster.CA, err = os.ReadFile(filepath.Join(k0sLayout.dir, "pki", "ca.crt")); err != nil {
		return err
	}
	user.User.Token = id + "." + secret
	return printToken(joinToken{[]namedCluster{cluster}, []namedUser{user}})
}

func printToken(t joinToken) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	_, err = fmt.Println(base64.StdEncoding.EncodeToString(packed.Bytes()))
	return err
}

func readJoinToken(file, role string) (t joinToken, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	packed, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return t, fmt.Errorf("k0s: failed to decode join token: %w", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return t, fmt.Errorf("k0s: failed to decode join token: %w", err)
	}
	if text, err = io.ReadAll(r); err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err == nil && (len(t.Clusters) != 1 || len(t.Users) != 1 || t.Users[0].Name != k0sUsers[role]) {
		err = errors.New("k0s: wrong token type, expected type: " + k0sUsers[role])
	}
	return t, err
}

// bearsToken tells as what somebody asks whose token has not ended.
func bearsToken(r *http.Request) string {
	id, secret, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if !ok {
		return ""
	}
	var kept bootstrapToken
	data, err := os.ReadFile(filepath.Join(k0sTokens, filepath.Base(id)))
	if err != nil || json.Unmarshal(data, &kept) != nil || kept.Secret != secret || !time.Now().Before(kept.Ends) {
		return ""
	}
	return map[string]string{"worker": "node", "controller": "server"}[kept.Role]
}

// worker runs a node of a controller's cluster until it is told to end. Pods go on then.
func (k k0s) worker(ctx context.Context, cmd documented.Command) error {
	if err := errors.Join(k.places(), k0sLayout.make(), folders(k0sData+"/containerd", k0sData+"/images")); err != nil {
		return err
	}
	token, err := readJoinToken(cmd.Flags["--token-file"], "worker") // also of one that needs it no more
	if err != nil {
		return err
	}
	c := k.cluster(cmd)
	c.cfg.Address = kubeletFlag(cmd, "--node-ip")
	const kubeconfig = k0sData + "/kubelet.conf"
	_, out := os.Stat(kubeconfig)
	in, err := admitted(ctx, k0sData+"/standin/admission.json", func() ([]byte, error) {
		if out == nil {
			return nil, errors.New("it is in")
		}
		return token.use(ctx, "/v1-standin/join", c.cfg)
	})
	if err != nil {
		return err
	}
	return c.visit(ctx, in, kubeconfig)
}
