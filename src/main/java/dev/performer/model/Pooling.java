package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonProperty;

/** How a sequence becomes one vector. */
public enum Pooling {
  @JsonProperty("mean")
  MEAN,
  @JsonProperty("sum")
  SUM,
  @JsonProperty("max")
  MAX,
  /** All positions beside each other; every sequence must be {@code maxLength} long. */
  @JsonProperty("flatten")
  FLATTEN,
  /** The first position. */
  @JsonProperty("cls")
  CLS
}
