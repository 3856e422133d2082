/** What was compiled, for the life of the process or the page. */
const pipelines: GPUComputePipeline[] = [];

/**
 * Keeps all pipelines of a device: as long as one is there, Dawn gives it again for the same shader and layout, of whatever
 * backend. To compile is nearly all that small cases cost a software adapter.
 */
export function keepPipelines(device: GPUDevice): void {
  const create = device.createComputePipelineAsync.bind(device);
  device.createComputePipelineAsync = async (descriptor) => {
    const pipeline = await create(descriptor);
    pipelines.push(pipeline);
    return pipeline;
  };
}
