export { startTestFabric as startWholeFabric, type TestFabric as WholeFabric } from '../support/fabric.ts';
