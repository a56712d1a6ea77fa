// Attaches referrers to a manifest as real clients do, with the library that each of them is made of: oras (oras-go),
// cosign and crane (go-containerregistry), regctl (regclient).
//
//	attach LIBRARY HOST REPOSITORY DIGEST NAME...
//
// Each name becomes a referrer of its own, pushed one after the other. HOST is reached by plain HTTP.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	gcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/manifest"
	"github.com/regclient/regclient/types/mediatype"
	regv1 "github.com/regclient/regclient/types/oci/v1"
	"github.com/regclient/regclient/types/ref"
	"oras.land/oras-go/v2"
	orasremote "oras.land/oras-go/v2/registry/remote"
)

const artifactType = "application/vnd.example.sbom"

// The markup and the letter beyond ASCII are what libraries escape in different ways.
func annotations(each string) map[string]string {
	return map[string]string{
		ocispec.AnnotationCreated: "2020-01-02T03:04:05Z",
		ocispec.AnnotationAuthors: "Zoë <zoe@example.com> & others",
		ocispec.AnnotationTitle:   each,
	}
}

type attacher func(ctx context.Context, host, repository, subject, each string) error

func main() {
	libraries := map[string]attacher{
		"oras-go":              attachByOras,
		"go-containerregistry": attachByContainerRegistry,
		"regclient":            attachByRegclient,
	}
	err := errors.New("usage: attach LIBRARY HOST REPOSITORY DIGEST NAME...")
	if len(os.Args) > 5 && libraries[os.Args[1]] != nil {
		err = attachAll(libraries[os.Args[1]], os.Args[2], os.Args[3], os.Args[4], os.Args[5:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func attachAll(attach attacher, host, repository, subject string, names []string) error {
	for _, each := range names {
		if err := attach(context.Background(), host, repository, subject, each); err != nil {
			return fmt.Errorf("%s: %w", each, err)
		}
	}
	return nil
}

func attachByOras(ctx context.Context, host, repository, subject, each string) error {
	repo, err := orasremote.NewRepository(host + "/" + repository)
	if err != nil {
		return err
	}
	repo.PlainHTTP = true
	// As the command line of ORAS sets it: the index that was replaced is left behind.
	repo.SkipReferrersGC = true
	target, err := repo.Resolve(ctx, subject)
	if err != nil {
		return err
	}
	_, err = oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, artifactType, oras.PackManifestOptions{
		Subject:             &target,
		ManifestAnnotations: annotations(each),
	})
	return err
}

func attachByContainerRegistry(ctx context.Context, host, repository, subject, each string) error {
	at, err := name.NewDigest(host+"/"+repository+"@"+subject, name.Insecure)
	if err != nil {
		return err
	}
	target, err := remote.Head(at, remote.WithContext(ctx))
	if err != nil {
		return err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), artifactType)
	image, ok := mutate.Subject(mutate.Annotations(base, annotations(each)), *target).(gcr.Image)
	if !ok {
		return errors.New("an image with a subject isn't an image any more")
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	return remote.Write(at.Context().Digest(digest.String()), image, remote.WithContext(ctx))
}

func attachByRegclient(ctx context.Context, host, repository, subject, each string) error {
	server := config.HostNewName(host)
	server.TLS = config.TLSDisabled
	client := regclient.New(regclient.WithConfigHost(*server))
	at, err := ref.New(host + "/" + repository + "@" + subject)
	if err != nil {
		return err
	}
	target, err := client.ManifestHead(ctx, at, regclient.WithManifestRequireDigest())
	if err != nil {
		return err
	}
	described := target.GetDescriptor()
	blob, err := client.BlobPut(ctx, at, descriptor.Descriptor{}, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	blob.MediaType = mediatype.OCI1Empty
	made, err := manifest.New(manifest.WithOrig(regv1.Manifest{
		Versioned:    regv1.ManifestSchemaVersion,
		MediaType:    mediatype.OCI1Manifest,
		ArtifactType: artifactType,
		Config:       blob,
		Layers:       []descriptor.Descriptor{blob},
		Subject:      &described,
		Annotations:  annotations(each),
	}))
	if err != nil {
		return err
	}
	return client.ManifestPut(ctx, at.SetDigest(made.GetDescriptor().Digest.String()), made)
}
