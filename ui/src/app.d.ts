/** True in builds that talk to the test bridge over HTTP; a constant, so that the shipped build holds no trace of it. */
declare const __BRIDGE__: boolean;
