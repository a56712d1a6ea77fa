/**
 * Registries that no family serves, by their host names. A run there would find nothing, or fail late in words that help
 * nobody. A family that comes to serve one takes its row away. docs/registries/not-served.md has the same rows.
 */

export interface UnservedRegistry {
  readonly name: string;
  /** host names in lower case; a `*` stands for one or more parts of a name */
  readonly hosts: readonly string[];
  /** what becomes of untagged manifests there: a sentence */
  readonly does: string;
  /** what to use: a sentence */
  readonly instead: string;
}

const READ_ONLY = 'It is read-only: its publisher alone deletes there.';
const OWN_REGISTRY = 'Give the registry that you push to.';

export const UNSERVED: readonly UnservedRegistry[] = [
  {
    name: 'Docker Hub',
    hosts: ['docker.io', '*.docker.io', 'hub.docker.com'],
    does: 'It shows untagged manifests on its web pages only.',
    instead: 'Use Image Management on the page of the repository at hub.docker.com.',
  },
  {
    name: 'Quay',
    hosts: ['quay.io', '*.quay.io'],
    does: 'It deletes manifests without a tag by itself, when its time machine no longer needs them.',
    instead: 'If that takes too long, shorten the tag expiration in the settings of the namespace.',
  },
  {
    name: 'GitLab',
    hosts: ['registry.gitlab.com', 'gitlab.com'],
    does: 'It deletes manifests without a tag by itself, after 24 hours.',
    instead: 'For old tags, use a cleanup policy of the project.',
  },
  {
    name: 'Amazon ECR',
    hosts: [
      '*.dkr.ecr.*.amazonaws.com',
      '*.dkr.ecr.*.amazonaws.com.cn',
      '*.dkr.ecr-fips.*.amazonaws.com',
      '*.dkr-ecr.*.on.aws',
      '*.dkr-ecr-fips.*.on.aws',
      '*.dkr-ecr.*.on.amazonwebservices.com.cn',
    ],
    does: 'It deletes untagged images if a lifecycle policy of the repository says so.',
    instead: 'Use a lifecycle policy with the tag status `untagged`.',
  },
  {
    name: 'Amazon ECR Public',
    hosts: ['public.ecr.aws'],
    does: 'It keeps untagged images until somebody deletes them.',
    instead: 'Use `aws ecr-public describe-images` and `aws ecr-public batch-delete-image`.',
  },
  {
    name: 'Azure Container Registry',
    hosts: ['*.azurecr.io', '*.azurecr.cn', '*.azurecr.us'],
    does: 'It deletes untagged manifests if its retention policy, of the Premium tier, is switched on.',
    instead: 'Use that policy, or `acr purge --untagged` as a scheduled task.',
  },
  {
    name: 'DigitalOcean Container Registry',
    hosts: ['registry.digitalocean.com'],
    does: 'It keeps untagged manifests until a garbage collection is started that includes them.',
    instead: 'Use a garbage collection by `doctl`, with its option `--include-untagged-manifests`.',
  },
  {
    name: 'Scaleway Container Registry',
    hosts: ['rg.*.scw.cloud'],
    does: 'Its API knows images and tags, and no manifest without a tag.',
    instead: 'Use its console, which deletes images and tags.',
  },
  {
    name: 'IBM Cloud Container Registry',
    hosts: ['icr.io', '*.icr.io'],
    does: 'It deletes untagged images on request, and keeps them in its trash for 30 days.',
    instead: 'Use `ibmcloud cr image-prune-untagged`, or a retention policy of the namespace.',
  },
  {
    name: 'Oracle Cloud Infrastructure Registry',
    hosts: ['ocir.io', '*.ocir.io', 'ocir.*.oci.oraclecloud.com'],
    does: 'It deletes images that had no version for some days if a retention policy says so.',
    instead: 'Use an image retention policy of the region or the repository.',
  },
  {
    name: 'Alibaba Cloud Container Registry',
    hosts: ['*.cr.aliyuncs.com', 'registry.*.aliyuncs.com', 'registry-*.aliyuncs.com'],
    does: 'It deletes tags by a retention policy, and the rest by a garbage collection, in its Enterprise Edition.',
    instead: 'Use them in its console.',
  },
  {
    name: "GitHub's former Docker registry",
    hosts: ['docker.pkg.github.com'],
    does: 'GitHub has moved its images to `ghcr.io`.',
    instead: 'Give `registry-url: ghcr.io`.',
  },
  {
    name: "Red Hat's registry",
    hosts: ['registry.redhat.io', 'registry.access.redhat.com', 'registry.connect.redhat.com'],
    does: READ_ONLY,
    instead: OWN_REGISTRY,
  },
  {
    name: 'Microsoft Artifact Registry',
    hosts: ['mcr.microsoft.com', '*.mcr.microsoft.com'],
    does: READ_ONLY,
    instead: OWN_REGISTRY,
  },
  {
    name: "Kubernetes' registry",
    hosts: ['registry.k8s.io'],
    does: READ_ONLY,
    instead: OWN_REGISTRY,
  },
];

/** @returns the registry that no family serves, if its host name says that it is one */
export function unservedAt({ hostname }: URL): UnservedRegistry | undefined {
  // A name that ends in a dot is the same name.
  const name = hostname.replace(/\.$/, '');
  return UNSERVED.find(({ hosts }) => hosts.some((host) => isLike(name, host)));
}

function isLike(name: string, pattern: string): boolean {
  const [first = '', ...others] = pattern.split('*').map((part) => part.replaceAll('.', '\\.'));
  return new RegExp(`^${[first, ...others].join('[a-z0-9.-]+')}$`).test(name);
}
