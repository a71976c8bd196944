export { AddressNotAllowed, AddressPolicy, hostnameOf } from "./address-policy.ts";
export { AllowList, allowListVariable } from "./allow-list.ts";
