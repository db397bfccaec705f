const plugins: never[] = [];
export default plugins;
