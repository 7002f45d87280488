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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/reconciler"
)

const (
	inventoryName = "inventory"
	plainKey      = "inventory.json"
	packedKey     = "inventory.json.gz"

	maxPlain     = 128 << 10 // bytes of JSON that are stored as they are, for people to read
	maxInventory = 32 << 20  // bytes of JSON, which names some 250,000 objects
)

// Inventory reads the inventory kept in the cluster. If there is none, it has
// no layers. One of another site is [reconciler.ErrOtherSite].
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
		return none, fmt.Errorf("read ConfigMap %s/%s: %w", fleet.SystemNamespace, inventoryName, err)
	}
	inv.Version = cm.ResourceVersion
	return inv, nil
}

// SaveInventory replaces the inventory that inv was read as in one write, or
// leaves it as it was: if it is another by now, that is [reconciler.ErrBehind].
func (c *Cluster) SaveInventory(ctx context.Context, inv reconciler.Inventory) (reconciler.Inventory, error) {
	data, binary, err := encodeInventory(inv)
	if err != nil {
		return inv, err
	}
	s, err := c.session()
	if err != nil {
		return inv, err
	}
	cm, err := readInventory(ctx, s, inv.Site)
	if err != nil {
		return inv, err
	}
	switch {
	case cm != nil && maps.Equal(cm.Data, data) && maps.EqualFunc(cm.BinaryData, binary, bytes.Equal):
		inv.Version = cm.ResourceVersion // also if the answer to the write was lost
		return inv, nil
	case cm == nil:
		cm = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: fleet.SystemNamespace, Name: inventoryName, Labels: map[string]string{fleet.SiteLabel: inv.Site},
		}}
	case cm.ResourceVersion != inv.Version:
		return inv, reconciler.ErrBehind
	}
	cm.Data, cm.BinaryData = data, binary
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = s.put(ctx, cm)
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return inv, reconciler.ErrBehind
	case err != nil:
		return inv, fmt.Errorf("write ConfigMap %s/%s: %w", fleet.SystemNamespace, inventoryName, err)
	}
	inv.Version = cm.ResourceVersion
	return inv, nil
}

// put writes an object of Holdfast's own as it was read, or makes it and the
// namespace for it.
func (s *session) put(ctx context.Context, o client.Object) error {
	if o.GetResourceVersion() != "" {
		return ownAnswer(ctx, s.objects.Client().Update(ctx, o, client.FieldOwner(FieldManager)))
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fleet.SystemNamespace}}
	if err := s.objects.Client().Create(ctx, ns, client.FieldOwner(FieldManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return ownAnswer(ctx, err)
	}
	return ownAnswer(ctx, s.objects.Client().Create(ctx, o, client.FieldOwner(FieldManager)))
}

// readInventory returns nil without an error if there is none.
func readInventory(ctx context.Context, s *session, site string) (*corev1.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cm := &corev1.ConfigMap{}
	err := s.objects.Client().Get(ctx, client.ObjectKey{Namespace: fleet.SystemNamespace, Name: inventoryName}, cm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ConfigMap %s/%s: %w", fleet.SystemNamespace, inventoryName, answered(ctx, err))
	}
	if owner := cm.Data["site"]; owner != site {
		return nil, fmt.Errorf("ConfigMap %s/%s is of site %q, not %q: %w", fleet.SystemNamespace, inventoryName, owner, site, reconciler.ErrOtherSite)
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
