"""Background work of the accounts room: links that people asked for, by mail."""

import logging

from astralytiq.core import mail
from astralytiq.core.executor import Work
from astralytiq.core.jobs import job

from . import links

log = logging.getLogger(__name__)

UNSENT = (
    "a reset link was asked for, but no mail can be sent: set SMTP_URL, MAIL_FROM and PUBLIC_URL, "
    "or help its owner with 'astralytiq user reset-password' or 'astralytiq user link'"
)


@job(links.SEND_RESET)
async def send_reset_link(work: Work, *, user_id: int | None) -> None:
    """Each run makes a new secret, which ends the one before it: running twice does no harm."""
    settings = work.resources.settings
    if user_id is None:
        return
    if not mail.is_set_up(settings):
        log.warning(UNSENT, extra={"user_id": user_id})
        return
    link = await work.step(lambda session: links.renew_asked(session, settings, user_id))
    if link:
        text = links.written(links.RESET_TEXT, link)
        await mail.send(settings, link.user.email, links.RESET_SUBJECT, text)
