import { readFileSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';

import { FAMILIES } from '../../../src/registry/families/families.js';
import { UNSERVED, unservedAt } from '../../../src/registry/families/unserved.js';

const nameAt = (host: string) => unservedAt(new URL(`https://${host}`))?.name;

const HOSTS: readonly (readonly [name: string, ...hosts: readonly string[]])[] = [
  ['Docker Hub', 'docker.io', 'index.docker.io', 'registry-1.docker.io', 'hub.docker.com'],
  ['Quay', 'quay.io', 'cdn.quay.io'],
  ['GitLab', 'registry.gitlab.com', 'gitlab.com'],
  [
    'Amazon ECR',
    '123456789012.dkr.ecr.eu-central-1.amazonaws.com',
    '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn',
    '123456789012.dkr.ecr-fips.us-east-1.amazonaws.com',
    '123456789012.dkr-ecr.eu-central-1.on.aws',
    '123456789012.dkr-ecr-fips.us-east-1.on.aws',
    '123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn',
  ],
  ['Amazon ECR Public', 'public.ecr.aws'],
  ['Azure Container Registry', 'team.azurecr.io', 'team.azurecr.cn', 'team.azurecr.us'],
  ['DigitalOcean Container Registry', 'registry.digitalocean.com'],
  ['Scaleway Container Registry', 'rg.fr-par.scw.cloud'],
  ['IBM Cloud Container Registry', 'icr.io', 'us.icr.io', 'private.de.icr.io'],
  [
    'Oracle Cloud Infrastructure Registry',
    'ocir.io',
    'fra.ocir.io',
    'ocir.eu-frankfurt-1.oci.oraclecloud.com',
  ],
  [
    'Alibaba Cloud Container Registry',
    'team-registry.cn-hangzhou.cr.aliyuncs.com',
    'registry.cn-hangzhou.aliyuncs.com',
    'registry-vpc.cn-hangzhou.aliyuncs.com',
  ],
  ["GitHub's former Docker registry", 'docker.pkg.github.com'],
  [
    "Red Hat's registry",
    'registry.redhat.io',
    'registry.access.redhat.com',
    'registry.connect.redhat.com',
  ],
  ['Microsoft Artifact Registry', 'mcr.microsoft.com', 'eastus.data.mcr.microsoft.com'],
  ["Kubernetes' registry", 'registry.k8s.io'],
];

describe('a registry that no family serves', () => {
  it.each(HOSTS.flatMap(([name, ...hosts]) => hosts.map((host) => [host, name] as const)))(
    'is known by its host name: %s',
    (host, name) => {
      expect(nameAt(host)).toBe(name);
      expect(nameAt(`${host.toUpperCase()}:443`)).toBe(name);
      expect(nameAt(`${host}.`)).toBe(name);
    },
  );

  it.each([
    'registry.example.com',
    'localhost:5000',
    '127.0.0.1:5000',
    '[::1]:5000',
    'ghcr.io',
    'gcr.io',
    'eu.gcr.io',
    'europe-docker.pkg.dev',
    'docker.io.example.com',
    'evil-docker.io',
    'notquay.io',
    'azurecr.io.example.com',
    'public.ecr.aws.evil.example',
    'dkr.ecr.amazonaws.com.example.com',
    'registry.gitlab.example.com',
    'git.gitlab.com.example.com',
    'picr.io',
    'codeberg.org',
    'gitea.com',
  ])('is not found in another host name: %s', (host) => {
    expect(nameAt(host)).toBeUndefined();
  });

  it('belongs to no family of its own', () => {
    const github = {
      server: new URL('https://github.com'),
      api: new URL('https://api.github.com'),
    };
    for (const host of HOSTS.flatMap(([, ...hosts]) => hosts)) {
      const family = FAMILIES.find((each) => each.matches(new URL(`https://${host}`), github));
      expect([host, family?.name]).toEqual([host, 'distribution']);
    }
  });

  it('has examples of all its host names here', () => {
    expect(HOSTS.map(([name]) => name)).toEqual(UNSERVED.map(({ name }) => name));
    const hosts = HOSTS.flatMap(([, ...all]) => all);
    expect(hosts.length).toBeGreaterThanOrEqual(UNSERVED.flatMap((each) => each.hosts).length);
  });
});

it('the page of the registries that are not served has the rows of the table', () => {
  const page = readFileSync(
    new URL('../../../docs/registries/not-served.md', import.meta.url),
    'utf8',
  );
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  expect(rows.slice(2)).toEqual(
    UNSERVED.map(({ name, hosts, does, instead }) => [
      name,
      hosts.map((host) => `\`${host}\``).join(', '),
      does,
      instead,
    ]),
  );
});
