package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"github.com/holdfast-fleet/holdfast/durable"
)

// ports are where the parts of one node listen. Those that nobody asked for
// are chosen once, among those free then, and kept.
type ports struct {
	API               int `json:"api"`
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
	Kubelet           int `json:"kubelet"`
	KubeletHealth     int `json:"kubeletHealth"`
	ProxyHealth       int `json:"proxyHealth"`
	ProxyMetrics      int `json:"proxyMetrics"`
}

// The ports to choose from: below those the kernel gives to clients (32768 and
// up) and those that Kubernetes gives to services (30000 to 32767).
const (
	firstPort = 20000
	portCount = 10000
)

// choosePorts returns the ports kept in dir, choosing what is missing. An api
// other than 0 is taken as it is.
func choosePorts(dir string, api int) (ports, error) {
	path := filepath.Join(dir, "ports.json")
	var p ports
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	if err == nil {
		if err := json.Unmarshal(data, &p); err != nil {
			return p, fmt.Errorf("read %s: %w", path, err)
		}
	}
	if api != 0 {
		p.API = api
	}
	if err := p.fill(); err != nil {
		return p, err
	}
	now, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	if string(now) == string(data) {
		return p, nil
	}
	return p, durable.WriteFile(path, now, 0o600)
}

// fill chooses each port that is 0, all different.
func (p *ports) fill() error {
	taken := map[int]bool{}
	v := reflect.ValueOf(p).Elem()
	for i := range v.NumField() {
		taken[int(v.Field(i).Int())] = true
	}
	for i := range v.NumField() {
		if v.Field(i).Int() != 0 {
			continue
		}
		port, err := freePort(taken)
		if err != nil {
			return err
		}
		taken[port] = true
		v.Field(i).SetInt(int64(port))
	}
	return nil
}

func freePort(taken map[int]bool) (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(portCount)
		if taken[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("find a free port: none of a thousand tried")
}
