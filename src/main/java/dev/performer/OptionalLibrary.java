package dev.performer;

/** Libraries that one feature each needs; a program adds to its class path those that it uses. */
public enum OptionalLibrary {
  CHARTS("org.knowm.xchart:xchart", "org.knowm.xchart.XYChart"),
  PARQUET("org.apache.parquet:parquet-hadoop", "org.apache.parquet.hadoop.ParquetFileWriter"),
  PROGRESS_BAR("me.tongfei:progressbar", "me.tongfei.progressbar.ProgressBar"),
  YAML(
      "com.fasterxml.jackson.dataformat:jackson-dataformat-yaml",
      "com.fasterxml.jackson.dataformat.yaml.YAMLMapper"),
  HTTP("io.vertx:vertx-core", "io.vertx.core.Vertx"),
  GRPC("io.grpc:grpc-netty-shaded", "io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder"),
  METRICS(
      "io.micrometer:micrometer-registry-prometheus",
      "io.micrometer.prometheusmetrics.PrometheusMeterRegistry"),
  TEMPLATES("com.hubspot.jinjava:jinjava", "com.hubspot.jinjava.Jinjava");

  private final String artifact;
  private final String type;

  OptionalLibrary(String artifact, String type) {
    this.artifact = artifact;
    this.type = type;
  }

  /** Its group and artifact in Maven's repository. */
  public String artifact() {
    return artifact;
  }

  /** Whether it is on the class path. */
  public boolean isPresent() {
    try {
      Class.forName(type, false, OptionalLibrary.class.getClassLoader());
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  /** Checks that it is on the class path. @param purpose what needs it, such as {@code a chart} */
  public void require(String purpose) {
    PerformerException.require(
        isPresent(), "%s needs the library %s; add it to the class path", purpose, artifact);
  }
}
