package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// etcd is that of an embedded node, by its JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
type etcd struct {
	client *http.Client
	url    string
}

func openEtcd(dir string) (etcd, error) {
	data, err := os.ReadFile(filepath.Join(dir, "etc", "ports.json"))
	if err != nil {
		return etcd{}, err
	}
	var ports struct{ Etcd int }
	if err := json.Unmarshal(data, &ports); err != nil {
		return etcd{}, err
	}
	client, err := trusting(dir, "etcd-ca.crt", "apiserver-etcd.pem")
	return etcd{client, fmt.Sprintf("https://127.0.0.1:%d", ports.Etcd)}, err
}

// member is one of a cluster of etcd. Until it has started it has no name.
type member struct {
	ID, Name  string
	PeerURLs  []string
	IsLearner bool
}

// ask has it do something about its members, of which it answers what there are then.
func (e etcd) ask(ctx context.Context, what string, question map[string]any) ([]member, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	var answer struct{ Members []member }
	data, err := fetch(ctx, e.client, e.url+"/v3/cluster/member/"+what, body, nil)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	return answer.Members, err
}

func (e etcd) members(ctx context.Context) ([]member, error) {
	return e.ask(ctx, "list", map[string]any{"linearizable": true})
}

// invite makes the etcd of a node a member that learns, and returns what it is to start with.
func (e etcd) invite(ctx context.Context, name, peer string) (string, error) {
	all, err := e.members(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range all {
		if m.Name == name || m.Name != "" && slices.Contains(m.PeerURLs, peer) {
			return "", errors.New("duplicate node name found, please use a unique name for this node")
		}
	}
	if !slices.ContainsFunc(all, func(m member) bool { return slices.Contains(m.PeerURLs, peer) }) {
		if all, err = e.ask(ctx, "add", map[string]any{"peerURLs": []string{peer}, "isLearner": true}); err != nil {
			return "", err
		}
	}
	var cluster []string
	for _, m := range all {
		if slices.Contains(m.PeerURLs, peer) {
			m.Name = name
		}
		for _, url := range m.PeerURLs {
			cluster = append(cluster, m.Name+"="+url)
		}
	}
	slices.Sort(cluster)
	return strings.Join(cluster, ","), nil
}

// promote makes members of those that have learned enough.
func (e etcd) promote(ctx context.Context) error {
	all, err := e.members(ctx)
	for _, m := range all {
		if m.IsLearner {
			_, refused := e.ask(ctx, "promote", map[string]any{"ID": m.ID})
			err = errors.Join(err, refused)
		}
	}
	return err
}

// settle has the only member be found where it listens, which one that was restored does not know.
func (e etcd) settle(ctx context.Context, peer string) error {
	all, err := e.members(ctx)
	if err != nil || len(all) != 1 || slices.Contains(all[0].PeerURLs, peer) {
		return err
	}
	_, err = e.ask(ctx, "update", map[string]any{"ID": all[0].ID, "peerURLs": []string{peer}})
	return err
}
