# Run inside an R kernel by features/queries.py. It must be quick and change nothing; what it has
# to tell it displays as JSON text, the only thing that a silent execution lets through.

carpo_json <- function(text) {
  text <- enc2utf8(as.character(text))
  text <- gsub("\\", "\\\\", text, fixed = TRUE)
  text <- gsub("\"", "\\\"", text, fixed = TRUE)
  text <- gsub("\n", "\\n", text, fixed = TRUE)
  text <- gsub("\r", "\\r", text, fixed = TRUE)
  text <- gsub("\t", "\\t", text, fixed = TRUE)
  text <- gsub("[[:cntrl:]]", " ", text)
  paste0("\"", text, "\"")
}

carpo_short <- function(value) {
  size <- dim(value)
  if (is.function(value) || is.environment(value)) return("")
  if (is.object(value) && !is.factor(value) && !is.data.frame(value)) return("")
  if (!is.null(size)) return(paste(size, collapse = " \u00d7 "))
  if (is.null(value)) return("NULL")
  if (is.atomic(value) && !is.object(value) && length(value) == 1L) {
    text <- if (is.character(value)) dQuote(substr(value, 1L, 60L), FALSE) else format(value)
    return(substr(text, 1L, 60L))
  }
  if ((is.numeric(value) || is.logical(value)) && length(value) %in% 2:5) {
    return(paste0("c(", paste(vapply(value, format.default, ""), collapse = ", "), ")"))
  }
  paste(length(value), if (length(value) == 1L) "item" else "items")
}

carpo_variables <- function() {
  names <- utils::head(ls(globalenv()), 1000L)
  entry <- function(name) {
    # A promise or an active binding would run code.
    if (bindingIsActive(name, globalenv())) return(NULL)
    value <- get(name, envir = globalenv(), inherits = FALSE)
    kind <- if (is.function(value)) "function" else "variable"
    parts <- carpo_json(c(name, kind, class(value)[[1L]], carpo_short(value)))
    paste0("[", paste(parts, collapse = ","), "]")
  }
  paste0("[", paste(unlist(lapply(names, entry)), collapse = ","), "]")
}

carpo_find <- function(name) {
  parts <- regmatches(name, regexec("^([[:alnum:]._]+):::?([[:alnum:]._]+)$", name))[[1L]]
  if (length(parts) == 3L) {
    if (!isNamespaceLoaded(parts[[2L]])) return(NULL)
    return(get0(parts[[3L]], envir = asNamespace(parts[[2L]]), inherits = FALSE))
  }
  if (exists(name, envir = globalenv(), inherits = FALSE) && bindingIsActive(name, globalenv())) {
    return(NULL)
  }
  get0(name, envir = globalenv(), mode = "function")
}

carpo_definition <- function(name) {
  value <- carpo_find(name)
  ref <- attr(value, "srcref")
  if (!is.function(value) || is.null(ref)) return("null")
  file <- attr(ref, "srcfile")
  path <- if (is.null(file$filename) || is.null(file$wd)) "" else
    tryCatch(
      normalizePath(file.path(if (startsWith(file$filename, "/")) "" else file$wd, file$filename)),
      error = function(e) "", warning = function(e) "")
  source <- paste(as.character(ref, useSource = TRUE), collapse = "\n")
  paste0("{\"file\":", carpo_json(path), ",\"line\":", ref[[1L]] - 1L,
         ",\"source\":", carpo_json(source), "}")
}

carpo_signature <- function(name) {
  value <- carpo_find(name)
  if (!is.function(value)) return("null")
  shown <- if (is.primitive(value)) args(value) else value
  if (is.null(shown)) return("null")
  formals <- formals(shown)
  labels <- vapply(names(formals), function(argument) {
    default <- paste(deparse(formals[[argument]], width.cutoff = 500L), collapse = " ")
    if (nzchar(default)) paste(argument, "=", default) else argument
  }, "")
  carpo_json(paste0(name, "(", paste(labels, collapse = ", "), ")"))
}
