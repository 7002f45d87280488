package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/reconciler"
)

// InventoryNamespace holds what Holdfast keeps in the cluster.
const InventoryNamespace = "holdfast-system"

const (
	inventoryName = "inventory"
	plainKey      = "inventory.json"
	packedKey     = "inventory.json.gz"

	maxPlain     = 128 << 10 // bytes of JSON that are stored as they are, for people to read
	maxInventory = 32 << 20  // bytes of JSON, which names some 250,000 objects
)

// Inventory reads the inventory kept in the cluster. If there is none, it has
// no layers. One of another site is [ErrOtherSite].
func (c *Cluster) Inventory(ctx context.Context, site string) (reconciler.Inventory, error) {
	none := reconciler.Inventory{Site: site, Layers: map[string][]reconciler.Object{}}
	s, err := c.session()
	if err != nil {
		return none, err
	}
	cm, err := readInventory(ctx, s, site)
	if err != nil || cm == nil {
		return none, err
	}
	inv, err := decodeInventory(cm.Data, cm.BinaryData)
	if err != nil {
		return none, fmt.Errorf("read ConfigMap %s/%s: %w", InventoryNamespace, inventoryName, err)
	}
	return inv, nil
}

// SaveInventory replaces the inventory in one write, or leaves it as it was.
func (c *Cluster) SaveInventory(ctx context.Context, inv reconciler.Inventory) error {
	data, binary, err := encodeInventory(inv)
	if err != nil {
		return err
	}
	s, err := c.session()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := c.saveOnce(ctx, s, inv.Site, data, binary)
		const tries = 5 // another host of the site may be saving
		again := apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
		if again && try < tries && sleep(ctx, time.Duration(try)*50*time.Millisecond) {
			continue
		}
		return err
	}
}

func (c *Cluster) saveOnce(ctx context.Context, s *session, site string, data map[string]string, binary map[string][]byte) error {
	cm, err := readInventory(ctx, s, site)
	if err != nil {
		return err
	}
	if cm != nil && maps.Equal(cm.Data, data) && maps.EqualFunc(cm.BinaryData, binary, bytes.Equal) {
		return nil
	}
	next := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: InventoryNamespace, Name: inventoryName, Labels: map[string]string{SiteLabel: site},
	}}
	if cm != nil {
		next = cm
	}
	next.Data, next.BinaryData = data, binary
	_, err = c.write(ctx, func(ctx context.Context) error {
		if cm != nil {
			return s.objects.Client().Update(ctx, next, client.FieldOwner(FieldManager))
		}
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: InventoryNamespace}}
		err := s.objects.Client().Create(ctx, ns, client.FieldOwner(FieldManager))
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		return s.objects.Client().Create(ctx, next, client.FieldOwner(FieldManager))
	})
	if err != nil {
		return fmt.Errorf("write ConfigMap %s/%s: %w", InventoryNamespace, inventoryName, err)
	}
	return nil
}

// readInventory returns nil without an error if there is none.
func readInventory(ctx context.Context, s *session, site string) (*corev1.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cm := &corev1.ConfigMap{}
	err := s.objects.Client().Get(ctx, client.ObjectKey{Namespace: InventoryNamespace, Name: inventoryName}, cm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", InventoryNamespace, inventoryName, err)
	}
	if owner := cm.Data["site"]; owner != site {
		return nil, fmt.Errorf("ConfigMap %s/%s is of site %q, not %q: %w", InventoryNamespace, inventoryName, owner, site, ErrOtherSite)
	}
	return cm, nil
}

// encodeInventory makes a ConfigMap's data: the site in plain text, and the
// whole as JSON, by gzip if it is long.
func encodeInventory(inv reconciler.Inventory) (map[string]string, map[string][]byte, error) {
	if inv.Site == "" {
		return nil, nil, errors.New("save inventory: it names no site")
	}
	raw, err := json.Marshal(inv)
	if err != nil {
		return nil, nil, fmt.Errorf("save inventory: %w", err)
	}
	data := map[string]string{"site": inv.Site}
	if len(raw) <= maxPlain {
		data[plainKey] = string(raw)
		return data, nil, nil
	}
	if len(raw) > maxInventory {
		return nil, nil, fmt.Errorf("save inventory: it has %d bytes, more than %d", len(raw), maxInventory)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(raw); err != nil {
		return nil, nil, fmt.Errorf("save inventory: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, nil, fmt.Errorf("save inventory: %w", err)
	}
	return data, map[string][]byte{packedKey: packed.Bytes()}, nil
}

// decodeInventory is the opposite of encodeInventory.
func decodeInventory(data map[string]string, binary map[string][]byte) (reconciler.Inventory, error) {
	raw := []byte(data[plainKey])
	if packed, ok := binary[packedKey]; ok {
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return reconciler.Inventory{}, fmt.Errorf("unpack %s: %w", packedKey, err)
		}
		if raw, err = io.ReadAll(io.LimitReader(r, maxInventory+1)); err != nil {
			return reconciler.Inventory{}, fmt.Errorf("unpack %s: %w", packedKey, err)
		}
		if len(raw) > maxInventory {
			return reconciler.Inventory{}, fmt.Errorf("unpack %s: more than %d bytes", packedKey, maxInventory)
		}
	}
	var inv reconciler.Inventory
	if err := json.Unmarshal(raw, &inv); err != nil {
		return inv, fmt.Errorf("parse inventory: %w", err)
	}
	if inv.Site != data["site"] {
		return inv, fmt.Errorf("parse inventory: it is of site %q, its ConfigMap of %q", inv.Site, data["site"])
	}
	if inv.Layers == nil {
		inv.Layers = map[string][]reconciler.Object{}
	}
	return inv, nil
}
