package backup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/holdfast-fleet/holdfast/fleet"
)

// bucket is a store on a server of S3, or of what speaks its protocol.
type bucket struct {
	client    *minio.Client
	transport *http.Transport
	name      string
	prefix    string // empty, or with / at its end
}

func openS3(t fleet.Target, login map[string]string, authorities []byte) (*bucket, error) {
	u, err := url.Parse(t.S3)
	if err != nil {
		return nil, err
	}
	if login["accessKeyID"] == "" || login["secretAccessKey"] == "" {
		return nil, &tip{errors.New("its credentials are not whole"), "give accessKeyID and secretAccessKey in " + t.Credentials}
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	if len(authorities) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(authorities) {
			return nil, errors.New("caFile holds no certificate")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	region := t.Region
	if region == "" {
		region = "us-east-1"
	}
	// The name of the bucket is in the path: not all who speak the protocol have a host name for each.
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(login["accessKeyID"], login["secretAccessKey"], ""), Secure: u.Scheme == "https",
		Transport: transport, Region: region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, err
	}
	name, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if prefix != "" {
		prefix += "/"
	}
	return &bucket{client, transport, name, prefix}, nil
}

func (b *bucket) List(ctx context.Context) ([]Stored, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var list []Stored
	for object := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if object.Err != nil {
			return nil, object.Err
		}
		if name, ok := ParseName(path.Base(object.Key)); ok {
			list = append(list, Stored{name, object.Size})
		}
	}
	return list, nil
}

// partSize is how much of a file is in memory while it is sent.
const partSize = 5 << 20

func (b *bucket) Put(ctx context.Context, name string, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	// All who speak the protocol check an MD5; newer checksums not all understand.
	_, err = b.client.PutObject(ctx, b.name, b.prefix+name, from, info.Size(), minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSizeOf(info.Size()), NumThreads: 1, SendContentMd5: true,
	})
	return err
}

// partSizeOf keeps to the 10,000 parts that a file may have.
func partSizeOf(size int64) uint64 {
	return max(partSize, (uint64(size)/9000/partSize+1)*partSize)
}

func (b *bucket) Get(ctx context.Context, name string, to io.Writer) error {
	object, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer object.Close()
	_, err = io.Copy(to, object)
	if minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return fmt.Errorf("%s: %w", name, errNoFile)
	}
	return err
}

func (b *bucket) Remove(ctx context.Context, name string) error {
	return b.client.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{})
}

func (b *bucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}
