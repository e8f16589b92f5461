// SPDX-License-Identifier: Apache-2.0
// Starts the mock of each cloud, with the provider entry and the environment that a relay needs for it.
import { startAzure } from './cloud/azure.mjs';
import { startBedrock } from './cloud/bedrock.mjs';
import { startGoogleSources } from './cloud/google_sources.mjs';
import { startVertex } from './cloud/vertex.mjs';

export const bedrockModel = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
export const vertexModel = 'claude-sonnet-4-5@20250929';

export async function bedrock(t, options = {}) {
  const mock = await startBedrock(t, options);
  const key = options.source ? {} : mock.keys.add();
  return {
    mock,
    provider: {
      name: 'bedrock', type: 'bedrock', aws_region: mock.region, base_url: mock.url, model_mapping: { 'claude-test-*': bedrockModel },
      ...(key.accessKeyId && { aws_access_key_id: key.accessKeyId, aws_secret_access_key: key.secretAccessKey }),
    },
    env: { AWS_EC2_METADATA_DISABLED: 'true' },
  };
}

export async function vertex(t, options = {}) {
  const source = options.source ?? await startGoogleSources(t, { exact: true });
  const mock = await startVertex(t, { tokens: source.tokens, region: 'us-east5', ...options });
  return {
    mock, source,
    provider: { name: 'vertex', type: 'vertex', gcp_project_id: mock.project, gcp_region: mock.region, base_url: mock.url, model_mapping: { 'claude-test-*': vertexModel } },
    env: { GCE_METADATA_HOST: new URL(source.url).host },
  };
}

export async function azure(t, options = {}) {
  const mock = await startAzure(t, options);
  return {
    mock,
    provider: { name: 'azure', type: 'azure', base_url: mock.url, azure_deployment_id: 'claude-deployed', models: ['claude-test-*'], keys: [{ key: mock.key }] },
    env: {},
  };
}

export const clouds = { bedrock, vertex, azure };

export const environment = (scenes) => Object.assign({}, ...scenes.map((scene) => scene.env));
